/** Restart policies with real processes: through docker, over crashes of the daemon, a restart of the machine, and a daemon that stops its containers. Needs root and the docker CLI. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ownCgroups } from '../faults/residue.ts';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { endMachine } from '../harness/machine-restart.ts';
import { dockerOutput } from '../harness/running-containers.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

interface Inspected {
  readonly RestartCount: number;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Restarting: boolean;
    readonly ExitCode: number;
    readonly Pid: number;
    readonly Error: string;
    readonly StartedAt: string;
  };
}

suite('restart policies', { skip }, () => {
  let daemon: GantryDaemon;
  const docker = (...args: string[]) => runCommand(['docker', '-H', daemon.host, ...args]);

  const ok = (...args: string[]) => dockerOutput(daemon.host, ...args);

  const run = (name: string, policy: string, script: string) =>
    ok('run', '-d', '--name', name, '--network', 'none', '--restart', policy, 'busybox', 'sh', '-c', script);

  async function inspect(name: string): Promise<Inspected> {
    return (JSON.parse(await ok('inspect', name)) as [Inspected])[0];
  }

  async function until(name: string, what: string, condition: (container: Inspected) => boolean): Promise<Inspected> {
    for (const deadline = Date.now() + 60_000; ; await delay(50)) {
      const container = await inspect(name);
      if (condition(container)) return container;
      if (Date.now() > deadline) assert.fail(`${name} never was ${what}: ${JSON.stringify(container)}`);
    }
  }

  before(async () => {
    daemon = await startGantry();
    await ok('pull', 'busybox');
  });

  after(() => daemon?.dispose());

  test('on-failure:N runs N + 1 times; --rm beside a policy is refused', async () => {
    await run('three', 'on-failure:2', 'echo again; exit 3');
    const { State, RestartCount } = await until('three', 'exited for good', ({ State: { Status } }) => Status === 'exited');
    assert.deepEqual([State.ExitCode, RestartCount, State.Running], [3, 2, false]);
    assert.equal(await ok('logs', 'three'), 'again\nagain\nagain');
    const refused = await docker('run', '--rm', '--restart', 'always', 'busybox', 'true');
    assert.deepEqual([refused.status, /cannot specify both --restart and --rm/.test(refused.stderr)], [125, true]);
    const unknown = await docker('create', '--restart', 'sometimes', 'busybox', 'true');
    assert.match(unknown.stderr, /invalid restart policy: unknown policy 'sometimes'/);
  });

  test('what waits for its restart: Docker’s words, and a stop ends it', async () => {
    await run('waits', 'always', 'exit 0');
    const { State } = await until('waits', 'restarting for a while', (it) => it.State.Restarting && it.RestartCount >= 5);
    assert.deepEqual([State.Status, State.Running, State.Pid], ['restarting', true, 0]);
    // At once: on a busy machine its wait would be over.
    const [listed, exec, remove] = await Promise.all([
      ok('ps', '--filter', 'name=waits', '--format', '{{.Status}}'),
      docker('exec', 'waits', 'true'),
      docker('rm', 'waits'),
    ]);
    assert.match(listed, /^Restarting \(0\) .* ago$/);
    assert.match(exec.stderr, /Container [0-9a-f]{64} is restarting, wait until the container is running/);
    assert.match(remove.stderr, /cannot remove a restarting container [0-9a-f]{64}. Stop the container before/);
    await ok('stop', 'waits');
    const stopped = await inspect('waits');
    assert.deepEqual([stopped.State.Status, stopped.State.ExitCode], ['exited', 0]);
    await ok('rm', 'waits');
  });

  test('the daemon is SIGKILLed: who ends meanwhile follows its policy, counts and waiting go on', async () => {
    await run('ends', 'on-failure', 'sleep 1; exit 5');
    await run('stays', 'always', 'sleep 1000');
    await run('loops', 'always', 'exit 1');
    await run('told', 'unless-stopped', 'trap "exit 0" TERM; while :; do sleep 0.1; done');
    await ok('stop', 'told');
    const before = await inspect('stays');
    const waiting = await until('loops', 'waiting', (it) => it.State.Restarting && it.RestartCount >= 4);
    await daemon.crash();
    await delay(1500);
    await daemon.restart();
    assert.equal((await inspect('stays')).State.StartedAt, before.State.StartedAt);
    const ended = await inspect('ends');
    assert.ok(ended.RestartCount >= 1, JSON.stringify(ended));
    await until('loops', 'counted on', (it) => it.RestartCount > waiting.RestartCount);
    assert.deepEqual((await inspect('told')).State.Status, 'exited');
    await ok('rm', '-f', 'ends', 'stays', 'loops', 'told', 'three');
  });

  test('the machine restarts: always and unless-stopped run again, on-failure too, what was stopped or has no policy does not', async () => {
    await ok('network', 'create', 'own');
    const sleeper = ['busybox', 'sleep', '1000'];
    await ok('run', '-d', '--name', 'joined', '--network', 'own', '--restart', 'always', ...sleeper);
    await ok('run', '-d', '--name', 'joins', '--network', 'container:joined', '--restart', 'unless-stopped', ...sleeper);
    await run('fails', 'on-failure', 'sleep 1000');
    await run('plain', 'no', 'sleep 1000');
    await run('halted', 'unless-stopped', 'sleep 1000');
    await run('wanted', 'always', 'sleep 1000');
    await ok('stop', '-t', '0', 'halted', 'wanted');
    const pid = (await inspect('joined')).State.Pid;
    await endMachine(daemon, ownCgroups(daemon));
    await daemon.restart();
    for (const name of ['joined', 'joins', 'fails', 'wanted']) {
      const { State, RestartCount } = await until(name, 'running again', (it) => it.State.Status === 'running');
      assert.deepEqual([State.Error, RestartCount], ['', 0], name);
      assert.notEqual(State.Pid, pid);
    }
    for (const [name, code] of [
      ['plain', 255],
      ['halted', 137],
    ] as const) {
      const { State } = await inspect(name);
      assert.deepEqual([name, State.Status, State.ExitCode], [name, 'exited', code]);
    }
    assert.match(await ok('exec', 'joins', 'ip', 'addr', 'show', 'eth0'), /inet 1/);
    await ok('rm', '-f', 'joins', 'joined', 'fails', 'plain', 'halted', 'wanted');
    await ok('network', 'rm', 'own');
  });

  test('a monitor that is SIGKILLed: 137, "monitor died", and the policy has its say', async () => {
    await run('orphan', 'on-failure', 'sleep 1000');
    await run('alone', 'no', 'sleep 1000');
    for (const name of ['orphan', 'alone']) {
      const { stdout } = await runCommand(['sh', '-c', `sed -n 's/^PPid:\\t//p' /proc/${(await inspect(name)).State.Pid}/status`]);
      process.kill(Number(stdout), 'SIGKILL');
    }
    const { State } = await until('alone', 'ended', (it) => it.State.Status === 'exited');
    assert.deepEqual([State.ExitCode, State.Error], [137, 'monitor died']);
    const again = await until('orphan', 'running again', (it) => it.State.Running && it.RestartCount === 1 && it.State.Pid > 0);
    assert.equal(again.State.Status, 'running');
    await ok('rm', '-f', 'orphan', 'alone');
  });

  test('--live-restore=false: containers stop with the daemon, and start with it as their policies say', async () => {
    const strict = await startGantry({ flags: ['--live-restore=false'] });
    const other = daemon;
    daemon = strict;
    try {
      await ok('pull', 'busybox');
      await run('plain', 'no', 'trap "exit 3" TERM; while :; do sleep 0.1; done');
      await run('always', 'unless-stopped', 'trap "exit 4" TERM; while :; do sleep 0.1; done');
      await strict.stop();
      await strict.restart();
      const plain = await inspect('plain');
      assert.deepEqual([plain.State.Status, plain.State.ExitCode], ['exited', 3]);
      await until('always', 'running again', (it) => it.State.Status === 'running');
    } finally {
      daemon = other;
      await strict.dispose();
    }
  });
});
