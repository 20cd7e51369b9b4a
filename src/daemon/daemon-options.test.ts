import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { daemonHelp, readDaemonOptions } from './daemon-options.ts';
import { settings } from './daemon-settings.ts';

describe('readDaemonOptions', () => {
  const read = (...argv: readonly string[]) => {
    const options = readDaemonOptions(argv);
    assert.ok(typeof options === 'object');
    return options;
  };

  it('has the defaults of the design', () => {
    const { addresses, dataRoot, execRoot, liveRestore, logFormat } = read();
    assert.deepEqual(addresses, [{ kind: 'unix', path: '/run/gantry/gantry.sock' }]);
    assert.deepEqual([dataRoot, execRoot, liveRestore, logFormat], ['/var/lib/gantry', '/run/gantry', true, 'text']);
  });

  it('reads every way of writing a flag', () => {
    assert.equal(read('--data-root=/a').dataRoot, '/a');
    assert.equal(read('--data-root', '/a').dataRoot, '/a');
    assert.equal(read('--data-root', '/a', '--data-root', '/b').dataRoot, '/b');
    assert.deepEqual(read('-H', 'unix:///a', '-Hunix:///b', '--host=fd://').addresses, [
      { kind: 'unix', path: '/a' },
      { kind: 'unix', path: '/b' },
      { kind: 'passed' },
    ]);
    assert.equal(read('--live-restore=false').liveRestore, false);
    assert.equal(read('-D').logLevel, 'debug');
  });

  it('the default socket lies in the exec root', () => {
    assert.deepEqual(read('--exec-root', '/x').addresses, [{ kind: 'unix', path: '/x/gantry.sock' }]);
  });

  it('takes what says what is so anyway, and refuses the rest by name', () => {
    assert.ok(read('--storage-driver', 'overlay2', '--firewall-backend', 'nftables'));
    assert.throws(() => read('--storage-driver', 'zfs'), /--storage-driver zfs is not supported yet \(only overlay2 is\)/);
    assert.throws(() => read('--metrics-addr', 'x:5000'), /--metrics-addr x:5000 is not supported yet/);
    assert.ok(read('--feature', 'cdi=true'));
    const features = settings.find(({ flag }) => flag === 'feature');
    assert.deepEqual(features?.fromJson?.({ cdi: true, buildkit: true }, ''), ['cdi=true', 'buildkit=true']);
  });

  it('knows --help and --version', () => {
    assert.equal(readDaemonOptions(['--help']), 'help');
    assert.equal(readDaemonOptions(['--version']), 'version');
    assert.match(daemonHelp(), /-H, --host LIST/);
  });
});

it('readDaemonOptions refuses a path that no socket can have', () => {
  assert.throws(() => readDaemonOptions(['-H', `unix:///${'a'.repeat(107)}`]), /107 bytes/);
});

it('no setting is in the table twice', () => {
  for (const part of ['flag', 'key', 'short'] as const) {
    const values = settings.map((setting) => setting[part]).filter((value) => value !== null && value !== undefined);
    assert.equal(new Set(values).size, values.length, part);
  }
});
