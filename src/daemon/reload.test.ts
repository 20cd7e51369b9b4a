import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DaemonOptions, readDaemonOptions } from './daemon-options.ts';
import { reloadOptions } from './reload.ts';

let directory = '';
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'g-reload-'));
});
after(() => rmSync(directory, { recursive: true }));

function configured(config: object): { readonly argv: readonly string[]; readonly options: DaemonOptions } {
  const path = join(directory, 'daemon.json');
  writeFileSync(path, JSON.stringify(config));
  const argv = ['--config-file', path];
  const options = readDaemonOptions(argv);
  assert.ok(typeof options === 'object');
  return { argv, options };
}

test('reloadOptions takes over what counts at once, and names what needs a restart', () => {
  const { argv, options } = configured({ labels: ['a=1'], mtu: 1400 });
  configured({ labels: ['a=2'], debug: true, 'live-restore': false, 'shutdown-timeout': 3, mtu: 1300, 'data-root': '/elsewhere' });
  const { options: now, applied, needRestart } = reloadOptions(argv, options);
  assert.deepEqual(applied, ['debug', 'label', 'live-restore', 'shutdown-timeout']);
  assert.deepEqual(needRestart, ['data-root', 'mtu']);
  assert.deepEqual([now.labels, now.logLevel, now.liveRestore, now.shutdownTimeoutSeconds], [['a=2'], 'debug', false, 3]);
  assert.deepEqual([now.dataRoot, now.network], [options.dataRoot, options.network]);
  assert.deepEqual(reloadOptions(argv, now).applied, []);
});

test('reloadOptions throws for a mistake in the file', () => {
  const { argv, options } = configured({});
  writeFileSync(argv[1] ?? '', '{"labels": "x"}');
  assert.throws(() => reloadOptions(argv, options), /must be a list of strings/);
});

test('readDaemonOptions with --validate only checks', () => {
  assert.equal(readDaemonOptions(['--validate']), 'validate');
  assert.throws(() => readDaemonOptions(['--validate', '--mtu', 'x']), /mtu/);
});
