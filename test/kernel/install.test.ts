/** `gantry install` and `uninstall`, below a prefix. Says what it needs where it needs it. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../harness/command.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

suite('gantry install', () => {
  let prefix: string;
  const unit = () => `${prefix}/etc/systemd/system/gantry.service`;
  const link = () => `${prefix}/usr/local/bin/gantry`;
  /** The functions of the bootstrap script, without its set-up of the checkout. */
  const install = (verb: string, ...args: string[]) =>
    runCommand([
      '/bin/sh',
      '-c',
      'set -eu; root=$1 node=$2 build=$1/build; shift 2; . "$root/tools/install.sh"; verb=$1; shift; "gantry_$verb" "$@"',
      'sh',
      root,
      process.execPath,
      verb,
      ...args,
      '--prefix',
      prefix,
    ]);

  before(() => {
    prefix = mkdtempSync(join(tmpdir(), 'g-install-'));
  });

  after(() => rmSync(prefix, { recursive: true, force: true }));

  test('writes a unit that leaves containers alone, and a link; uninstall takes both back', async () => {
    const made = await install('install');
    assert.equal(made.status, 0, made.stderr);
    assert.equal(readlinkSync(link()), `${root}/gantry`);
    const text = readFileSync(unit(), 'utf8');
    for (const line of [
      'Type=notify',
      'KillMode=process',
      'Delegate=yes',
      `ExecStart="${root}/gantry" daemon -H unix:///run/gantry/gantry.sock`,
      'WantedBy=multi-user.target',
    ])
      assert.ok(text.split('\n').includes(line), line);
    assert.doesNotMatch(text, /docker\.sock/);
    assert.equal((await install('install')).status, 0);
    const removed = await install('uninstall');
    assert.equal(removed.status, 0, removed.stderr);
    assert.ok(!existsSync(unit()) && !existsSync(link()));
    assert.equal((await install('uninstall')).status, 0);
  });

  test('systemd takes the unit', { skip: existsSync('/usr/bin/systemd-analyze') ? false : 'needs systemd-analyze' }, async () => {
    await install('install', '--docker-socket', '--group', 'root');
    const { status, stderr } = await runCommand(['systemd-analyze', 'verify', '--man=no', unit()]);
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stderr, /gantry\.service:/);
    assert.match(readFileSync(unit(), 'utf8'), /-H unix:\/\/\/run\/docker\.sock --group root$/m);
    await install('uninstall');
  });

  test('--docker-socket is refused while another engine answers there', async () => {
    mkdirSync(`${prefix}/run`);
    let platform = 'Docker Engine - Community';
    const server = createServer((_, response) => response.end(JSON.stringify({ Platform: { Name: platform }, Version: '28.0.0' })));
    await new Promise<void>((resolve) => server.listen(`${prefix}/run/docker.sock`, resolve));
    const refused = await install('install', '--docker-socket');
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /another engine \(Docker Engine - Community\) answers at \/var\/run\/docker\.sock/);
    assert.ok(!existsSync(unit()) && !existsSync(link()));
    platform = 'Gantry';
    assert.equal((await install('install', '--docker-socket')).status, 0);
    await install('uninstall');
    await new Promise((resolve) => server.close(resolve));
  });

  test('a file in the way, an unknown group and an unknown flag are told, and change nothing', async () => {
    mkdirSync(`${prefix}/usr/local/bin`, { recursive: true });
    writeFileSync(link(), 'mine');
    assert.match((await install('install')).stderr, /is there and is no link/);
    assert.ok(lstatSync(link()).isFile());
    rmSync(link());
    assert.match((await install('install', '--group', 'no-such-group')).stderr, /there is no group no-such-group/);
    const unknown = await install('install', '--what');
    assert.equal(unknown.status, 125);
    assert.match(unknown.stderr, /unknown argument: --what/);
    assert.ok(!existsSync(unit()));
  });
});
