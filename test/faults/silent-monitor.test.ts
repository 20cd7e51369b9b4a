/** A monitor or the launcher that was stopped (SIGSTOP): what hangs is told by name, and nobody else waits for it, neither its container's neighbours nor a daemon that starts. Needs root and the docker CLI. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { dockerOutput } from '../harness/running-containers.ts';
import { type InspectedState, inspectState } from './engine-request.ts';
import { launcherOf, parentOf, residueOf } from './residue.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

suite('FAULT a monitor or launcher that does not answer', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args], { timeoutMs: 60_000 });

  const ok = (...args: string[]) => dockerOutput(daemon.host, ...args);

  async function stateOf(name: string): Promise<InspectedState> {
    const state = await inspectState(daemon.host, name);
    assert.ok(state !== null, name);
    return state;
  }

  before(async () => {
    daemon = await startGantry();
    await ok('pull', 'busybox');
  });

  after(() => daemon?.dispose());

  test('requests name it, neighbours are served, a daemon that starts does not wait; it goes on where it was', async () => {
    const loop = ['busybox', 'sh', '-c', 'trap "exit 6" TERM; while :; do echo tick; sleep 0.1; done'];
    await ok('run', '-d', '--name', 'stuck', '--restart', 'on-failure', '-p', '127.0.0.1::80', ...loop);
    await ok('run', '-d', '--name', 'free', ...loop);
    const { Pid, StartedAt } = (await stateOf('stuck')) as InspectedState & { readonly StartedAt: string };
    const port = await ok('port', 'stuck', '80');
    const monitor = parentOf(Pid);
    process.kill(monitor, 'SIGSTOP');
    try {
      const refused = docker('exec', 'stuck', 'true');
      await servesOthers();
      // Docker tells why an exec did not start in its output.
      const { status, stdout } = await refused;
      assert.notEqual(status, 0);
      assert.match(
        stdout,
        new RegExp(`the monitor \\(process ${monitor}\\) of container [0-9a-f]{64} does not answer: .*kill -CONT ${monitor}`),
      );

      await daemon.crash();
      const before = Date.now();
      await daemon.restart();
      assert.ok(Date.now() - before < 10_000);
      const stuck = (await stateOf('stuck')) as InspectedState & { readonly StartedAt: string };
      assert.deepEqual([stuck.Status, stuck.Pid, stuck.StartedAt], ['running', Pid, StartedAt]);
      assert.match(daemon.log(), new RegExp(`the monitor \\(process ${monitor}\\) of container`));
      const stop = docker('stop', '-t', '1', 'stuck');
      await servesOthers();
      assert.match((await stop).stderr, /does not answer/);
    } finally {
      process.kill(monitor, 'SIGCONT');
    }
    await untilServed('stuck');
    assert.equal(await ok('port', 'stuck', '80'), port);
    assert.match(await ok('logs', '--tail', '1', 'stuck'), /tick/);
    await ok('stop', 'stuck');
    assert.equal((await stateOf('stuck')).ExitCode, 6);
    await ok('rm', '-f', 'stuck', 'free');
    assert.deepEqual(await residueOf(daemon), []);
  });

  test('one that is killed while the daemon waits for it: 137, "monitor died"', async () => {
    await ok('run', '-d', '--name', 'gone', '--network', 'none', 'busybox', 'sleep', '1000');
    const monitor = parentOf((await stateOf('gone')).Pid);
    process.kill(monitor, 'SIGSTOP');
    await daemon.crash();
    await daemon.restart();
    const wait = docker('wait', 'gone');
    process.kill(monitor, 'SIGKILL');
    assert.equal((await wait).stdout.trim(), '137');
    assert.equal((await stateOf('gone')).Error, 'monitor died');
    await ok('rm', 'gone');
    assert.deepEqual(await residueOf(daemon), []);
  });

  test('rm -f ends the container with its monitor, now and after a restart of the daemon', async () => {
    for (const isRestarted of [false, true]) {
      await ok('run', '-d', '--name', 'hung', '--network', 'none', 'busybox', 'sleep', '1000');
      process.kill(parentOf((await stateOf('hung')).Pid), 'SIGSTOP');
      if (isRestarted) {
        await daemon.crash();
        await daemon.restart();
      }
      await ok('rm', '-f', 'hung');
      assert.deepEqual(await residueOf(daemon), []);
    }
  });

  test('the launcher: a start names it, what runs is served, and the next start works when it goes on', async () => {
    const loop = ['busybox', 'sh', '-c', 'trap "exit 6" TERM; while :; do sleep 0.1; done'];
    await ok('run', '-d', '--name', 'runs', '--network', 'none', ...loop);
    await ok('create', '--name', 'later', '--network', 'none', ...loop);
    const launcher = launcherOf(daemon);
    process.kill(launcher, 'SIGSTOP');
    try {
      // An answer of a moment ago is believed for a second.
      await delay(1100);
      const start = docker('start', 'later');
      assert.equal(await ok('exec', 'runs', 'echo', 'here'), 'here');
      assert.equal(await ok('stop', 'runs'), 'runs');
      const { status, stderr } = await start;
      assert.equal(status, 1);
      assert.match(stderr, new RegExp(`the launcher \\(process ${launcher}\\) of .* does not answer: .*kill -CONT ${launcher}`));
    } finally {
      process.kill(launcher, 'SIGCONT');
    }
    await ok('start', 'later');
    await ok('rm', '-f', 'runs', 'later');
    assert.deepEqual(await residueOf(daemon), []);
  });

  /** A hang limit, not a measure: the row of SECURITY.md section 3 belongs to the bench. */
  async function servesOthers(): Promise<void> {
    const before = Date.now();
    assert.equal(await ok('exec', 'free', 'echo', 'here'), 'here');
    assert.match(await ok('ps', '--format', '{{.Names}}'), /stuck/);
    await ok('run', '--rm', '--network', 'none', 'busybox', 'true');
    assert.ok(Date.now() - before < 8000, `${Date.now() - before} ms`);
  }

  async function untilServed(name: string): Promise<void> {
    for (const deadline = Date.now() + 30_000; ; ) {
      const { status, stderr } = await docker('exec', name, 'true');
      if (status === 0) return;
      if (Date.now() > deadline) assert.fail(stderr);
    }
  }
});
