import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readDaemonOptions } from './daemon-options.ts';

function read(...argv: string[]) {
  const options = readDaemonOptions(argv);
  assert.ok(typeof options === 'object');
  return options;
}

function readFile(config: unknown) {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-options-'));
  try {
    const path = join(directory, 'daemon.json');
    writeFileSync(path, JSON.stringify(config));
    return read('--config-file', path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('runtimes: by flag, by dockerd’s key, and the default', () => {
  const { programs, defaultName } = read(
    '--add-runtime',
    'mine=/opt/runc',
    '--add-runtime=runc=/opt/other',
    '--default-runtime',
    'mine',
  ).runtimes;
  assert.deepEqual(programs, [
    { name: 'mine', path: '/opt/runc', args: [], patienceMs: 30_000 },
    { name: 'runc', path: '/opt/other', args: [], patienceMs: 30_000 },
  ]);
  assert.equal(defaultName, 'mine');
  assert.deepEqual(read().runtimes.chosen, ['native']);
  assert.equal(read().runtimes.defaultName, 'native');
  const file = readFile({ runtimes: { mine: { path: 'runc', runtimeArgs: ['--debug'], timeoutSeconds: 5 } } });
  assert.deepEqual(file.runtimes.programs[0], { name: 'mine', path: 'runc', args: ['--debug'], patienceMs: 5000 });
});

test('runtimes: what is wrong is refused by name', () => {
  const refused: readonly (readonly [string[], RegExp])[] = [
    [['--add-runtime', 'mine'], /invalid value for --add-runtime: "mine"\. Write NAME=PATH/],
    [['--add-runtime', 'a/b=/x'], /invalid runtime name "a\/b"/],
    [['--add-runtime', 'native=/x'], /runtime name "native" is reserved/],
    [['--add-runtime', 'mine=./x'], /must be absolute/],
    [['--add-runtime', 'mine='], /has no path/],
    [['--add-runtime', 'mine=/x', '--add-runtime', 'mine=/y'], /"mine" is configured twice/],
    [['--default-runtime', 'mine'], /"mine" is not configured\. Add it with --add-runtime mine=PATH/],
  ];
  for (const [argv, message] of refused) assert.throws(() => read(...argv), message);
  assert.throws(() => readFile({ runtimes: { x: { runtimeType: 'io.containerd.runsc.v1' } } }), /has the key runtimeType/);
  assert.throws(() => readFile({ runtimes: ['x'] }), /must be an object of runtimes by name/);
  assert.throws(() => readFile({ runtimes: { x: { path: '/x', timeoutSeconds: 0 } } }), /timeoutSeconds/);
});

test('security: hardened, no-new-privileges and the pool of ids', () => {
  const given = ['--default-ipc-mode', 'shareable', '--default-cgroupns-mode', 'host', '--seccomp-profile', 'unconfined'];
  assert.deepEqual(read('--hardened', '--no-new-privileges', '--userns-pool', '200000:65536', ...given).security, {
    hardened: true,
    noNewPrivileges: true,
    idPool: { base: 200_000, size: 65_536 },
    ipcMode: 'shareable',
    cgroupnsMode: 'host',
    seccomp: 'unconfined',
  });
  assert.deepEqual([read('--seccomp-profile', 'builtin').security.seccomp, read().security.ipcMode], [null, '']);
  assert.throws(() => read('--seccomp-profile', '/nowhere.json'), /cannot use the seccomp profile \/nowhere\.json/);
  assert.throws(() => read('--default-ipc-mode', 'host'), /invalid value for --default-ipc-mode: "host"\. One of private, shareable/);
  assert.deepEqual([read().security.hardened, read().network.hardened, read('--hardened').network.hardened], [false, false, true]);
  assert.equal(readFile({ hardened: true }).security.hardened, true);
  for (const pool of ['x', '0:10', '100:0', '4294967000:1000'])
    assert.throws(() => read('--userns-pool', pool), /invalid value for --userns-pool/);
  assert.throws(() => read('--userns-remap', 'default'), /--userns-remap default is not supported yet: .*--userns auto/);
});
