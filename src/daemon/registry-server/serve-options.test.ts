import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseToolFlags } from '../tool-flags.ts';
import { readServeOptions, type ServeOptions, serveFlags } from './serve-options.ts';

function optionsOf(...argv: string[]): ServeOptions {
  const flags = parseToolFlags(argv, serveFlags, 'gantry registry serve');
  return readServeOptions(flags ?? assert.fail('help'));
}

describe('readServeOptions', () => {
  it('listens on loopback without being asked anything', () => {
    const { listen, access, tls } = optionsOf('--root', '/r');
    assert.deepEqual([listen, access.htpasswd, tls], [[{ host: '127.0.0.1', port: 5000 }], null, null]);
  });

  const tls = ['--tls-cert', 'c', '--tls-key', 'k'];
  const rows: readonly (readonly [flags: readonly string[], refusal: RegExp | null])[] = [
    [[], /without TLS.*--allow-plain-http/],
    [['--allow-plain-http'], /without passwords.*--allow-anonymous-push/],
    [tls, /without passwords/],
    [[...tls, '--htpasswd', 'h'], null],
    [[...tls, '--read-only'], null],
    [['--allow-plain-http', '--allow-anonymous-push'], null],
  ];
  for (const [flags, refusal] of rows)
    it(`0.0.0.0 ${flags.join(' ')}: ${refusal === null ? 'yes' : 'no, with the way out'}`, () => {
      const read = () => optionsOf('--listen', '0.0.0.0:0', ...flags);
      if (refusal === null) read();
      else assert.throws(read, refusal);
    });

  it('flags win over the file, and their mistakes are told', () => {
    const directory = mkdtempSync(join(tmpdir(), 'serve-options-'));
    const file = join(directory, 'r.json');
    writeFileSync(file, JSON.stringify({ listen: '127.0.0.1:1', readOnly: true, root: '/file', log: { format: 'json' } }));
    const { listen, readOnly, root, log } = optionsOf('--config', file, '--listen', '[::1]:2', '--read-only=false');
    rmSync(directory, { recursive: true });
    assert.deepEqual([listen, readOnly, root, log], [[{ host: '::1', port: 2 }], false, '/file', { level: 'info', format: 'json' }]);
    assert.throws(() => optionsOf('--lisen', 'x'), /Did you mean --listen\?/);
    assert.throws(() => optionsOf('--listen'), /needs an argument/);
    assert.throws(() => optionsOf('--log-level', 'loud'), /log\.level: must be one of/);
    assert.throws(() => optionsOf('--tls-cert', 'c'), /belong together/);
    assert.throws(() => optionsOf('--config', '/nonexistent'), /cannot read the configuration file \/nonexistent/);
    assert.throws(() => optionsOf('extra'), /takes no arguments/);
  });
});
