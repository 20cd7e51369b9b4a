/** What dies beside the daemon: the launcher, a monitor, both, each with the daemon alive and dead. Needs root, the docker CLI and busybox-static. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { createContainer, engineCall, engineRequest, type InspectedState, inspectState } from './engine-request.ts';
import { isAlive, launcherOf, parentOf, processesOf, residueOf } from './residue.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
/** Ends with 7 on TERM; ignores what it is not sent. */
const resident = ['sh', '-c', 'trap "echo bye; exit 7" TERM; echo hello; while :; do sleep 0.05; done'];

suite('FAULT launcher or monitor SIGKILLed', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]): Promise<CommandResult> => runCommand(['docker', '-H', daemon.host, ...args], { timeoutMs: 30_000 });

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });

  after(() => daemon?.dispose());

  test('launcher: containers go on with logs, exec, attach and their exit codes; the next start brings another launcher', async () => {
    await run('one');
    const old = await killLauncher();
    assert.equal((await docker('exec', 'one', 'echo', 'here')).stdout, 'here\n');
    const attached = docker('attach', '--no-stdin', '--sig-proxy=false', 'one');
    await run('two');
    assert.notEqual(launcherOf(daemon), old);
    assert.equal(await stop('one'), 7);
    assert.equal((await attached).status, 7);
    assert.equal((await docker('logs', 'one')).stdout, 'hello\nbye\n');
    assert.equal(await stop('two'), 7);
    await removeAll('one', 'two');
  });

  test('launcher, then the daemon: both come back, the containers are served, and an exit meanwhile is told', async () => {
    await run('goes-on');
    await run('ends', ['sh', '-c', 'sleep 0.5; echo done; exit 21']);
    await killLauncher();
    await daemon.crash();
    await delay(800);
    await daemon.restart();
    assert.equal((await stateOf('goes-on')).Status, 'running');
    const ended = await stateOf('ends');
    assert.deepEqual([ended.Status, ended.ExitCode, ended.Error], ['exited', 21, '']);
    assert.equal((await docker('logs', 'ends')).stdout, 'done\n');
    assert.equal(await stop('goes-on'), 7);
    await removeAll('goes-on', 'ends');
  });

  test('launcher while containers start: each start succeeds or fails whole, and can be done again', async () => {
    const names = Array.from({ length: 6 }, (_, index) => `start-${index}`);
    for (const name of names) await createContainer(daemon.host, { name, command: resident });
    const starts = names.map((name, index) => delay(index * 5).then(() => engineRequest(daemon.host, 'POST', `/containers/${name}/start`)));
    await delay(12);
    await killLauncher();
    for (const [index, name] of names.entries()) {
      const status = (await starts[index])?.status;
      assert.equal((await stateOf(name)).Status === 'running', status === 204, `${name} was answered ${status}`);
      if (status !== 204) await engineCall(daemon.host, 'POST', `/containers/${name}/start`);
      assert.equal(await stop(name), 7);
    }
    await removeAll(...names);
  });

  test('monitor: its container is killed, 137 and "monitor died" are told, and it starts again', async () => {
    await run('bereft');
    const { Pid } = await stateOf('bereft');
    const attached = docker('attach', '--no-stdin', '--sig-proxy=false', 'bereft');
    const waited = docker('wait', 'bereft');
    await delay(100);
    process.kill(monitorOf(Pid), 'SIGKILL');
    assert.equal((await waited).stdout, '137\n');
    await attached;
    assertEnd(await stateOf('bereft'), 137, 'monitor died', Pid);
    assert.equal((await docker('start', 'bereft')).status, 0);
    assert.equal(await stop('bereft'), 7);
    await removeAll('bereft');
  });

  test('monitor, while the daemon is dead: 137 and "monitor died" after its restart', async () => {
    await run('bereft');
    const { Pid } = await stateOf('bereft');
    await daemon.crash();
    process.kill(monitorOf(Pid), 'SIGKILL');
    await daemon.restart();
    assertEnd(await stateOf('bereft'), 137, 'monitor died', Pid);
    await removeAll('bereft');
  });

  for (const order of ['monitor first', 'launcher first'] as const) {
    test(`monitor and launcher, ${order}: an exit code and a reason, the container is killed and its cgroup gone`, async () => {
      await run('lost');
      const { Pid } = await stateOf('lost');
      const waited = docker('wait', 'lost');
      const dying = [launcherOf(daemon), monitorOf(Pid)];
      // At once: the launcher must not find the time to record the end of its monitor's container.
      for (const pid of order === 'launcher first' ? dying : dying.toReversed()) process.kill(pid, 'SIGKILL');
      const { stdout } = await waited;
      const state = await stateOf('lost');
      assert.equal(stdout, `${state.ExitCode}\n`);
      if (order === 'launcher first') assertEnd(state, 255, 'exit status lost', Pid);
      else assert.match(`${state.ExitCode} ${state.Error}`, /^(255 exit status lost|137 monitor died)$/);
      await removeAll('lost');
    });
  }

  test('monitor, launcher and daemon: 255, "exit status lost", the container is killed, --rm is honoured', async () => {
    await run('lost');
    await docker('run', '-d', '--rm', '--name', 'lost-rm', 'busybox', ...resident);
    const { Pid } = await stateOf('lost');
    const { Pid: other } = await stateOf('lost-rm');
    const dying = [daemon.pid, launcherOf(daemon), monitorOf(Pid), monitorOf(other)];
    await daemon.crash();
    for (const pid of dying.slice(1)) process.kill(pid, 'SIGKILL');
    await daemon.restart();
    assertEnd(await stateOf('lost'), 255, 'exit status lost', Pid);
    assert.equal(await inspectState(daemon.host, 'lost-rm'), null);
    assert.equal(isAlive(other), false, 'a container that nobody looks after runs on');
    assert.equal((await docker('start', 'lost')).status, 0);
    assert.equal(await stop('lost'), 7);
    await removeAll('lost');
  });

  async function run(name: string, command: readonly string[] = resident): Promise<void> {
    await createContainer(daemon.host, { name, command });
    await engineCall(daemon.host, 'POST', `/containers/${name}/start`);
  }

  async function stateOf(name: string): Promise<InspectedState> {
    const state = await inspectState(daemon.host, name);
    assert.ok(state !== null, `${name} is not known`);
    return state;
  }

  async function stop(name: string): Promise<number> {
    await engineCall(daemon.host, 'POST', `/containers/${name}/stop?t=20`);
    return (await stateOf(name)).ExitCode;
  }

  async function removeAll(...names: readonly string[]): Promise<void> {
    for (const name of names) await engineCall(daemon.host, 'DELETE', `/containers/${name}`);
    assert.deepEqual(await residueOf(daemon), [], 'left behind');
  }

  async function killLauncher(): Promise<number> {
    const pid = launcherOf(daemon);
    process.kill(pid, 'SIGKILL');
    while (processesOf(daemon).some((one) => one.pid === pid)) await delay(5);
    return pid;
  }
});

function monitorOf(init: number): number {
  const monitor = parentOf(init);
  assert.ok(monitor > 1, `process ${init} has parent ${monitor}`);
  return monitor;
}

function assertEnd(state: InspectedState, exitCode: number, reason: string, pid: number): void {
  assert.deepEqual([state.Status, state.ExitCode, state.Error], ['exited', exitCode, reason]);
  assert.equal(isAlive(pid), false, 'the container runs on');
}
