/** Health checks with real processes: their forms, time-outs, what a paused container and a daemon that is SIGKILLed make of them. Needs root and the docker CLI. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { dockerOutput } from '../harness/running-containers.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';

interface Health {
  readonly Status: string;
  readonly FailingStreak: number;
  readonly Log: readonly { readonly ExitCode: number; readonly Output: string; readonly Start: string }[];
}

suite('health checks', { skip }, () => {
  let daemon: GantryDaemon;
  const _docker = (...args: string[]) => runCommand(['docker', '-H', daemon.host, ...args]);

  const ok = (...args: string[]) => dockerOutput(daemon.host, ...args);

  const run = (name: string, ...args: string[]) =>
    ok('run', '-d', '--name', name, '--network', 'none', ...args, 'busybox', 'sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done');

  const health = async (name: string) => JSON.parse(await ok('inspect', '-f', '{{json .State.Health}}', name)) as Health | null;

  async function until(name: string, what: string, condition: (health: Health) => boolean): Promise<Health> {
    for (const deadline = Date.now() + 60_000; ; await delay(50)) {
      const now = await health(name);
      if (now !== null && condition(now)) return now;
      if (Date.now() > deadline) assert.fail(`${name} never was ${what}: ${JSON.stringify(now)}`);
    }
  }

  before(async () => {
    daemon = await startGantry();
    await ok('pull', 'busybox');
  });

  after(() => daemon?.dispose());

  test('starting, healthy, unhealthy: inspect, ps, filters and events', async () => {
    const since = String(Math.floor(Date.now() / 1000));
    await run(
      'web',
      '--health-cmd',
      'echo seen; test -e /up',
      '--health-interval',
      '200ms',
      '--health-retries',
      '2',
      '--health-start-period',
      '60s',
      '--health-start-interval',
      '100ms',
    );
    assert.match(await ok('ps', '--format', '{{.Status}}', '--filter', 'health=starting'), /\(health: starting\)$/);
    await until('web', 'checked', ({ Log }) => Log.length > 0);
    await ok('exec', 'web', 'touch', '/up');
    const healthy = await until('web', 'healthy', ({ Status }) => Status === 'healthy');
    assert.deepEqual([healthy.FailingStreak, healthy.Log.at(-1)?.ExitCode, healthy.Log.at(-1)?.Output], [0, 0, 'seen\n']);
    assert.match(await ok('ps', '--format', '{{.Status}}', '--filter', 'health=healthy'), /\(healthy\)$/);
    await ok('exec', 'web', 'rm', '/up');
    const unhealthy = await until('web', 'unhealthy', ({ Status, Log }) => Status === 'unhealthy' && Log.length === 5);
    assert.ok(unhealthy.FailingStreak >= 2);
    await ok('stop', 'web');
    const { length } = (await health('web'))?.Log ?? [];
    assert.equal((await health('web'))?.Status, 'unhealthy');
    assert.equal(length, 5);
    const soon = String(Math.ceil(Date.now() / 1000) + 1);
    const events = await ok('events', '--since', since, '--until', soon, '--filter', 'container=web', '--format', '{{.Action}}');
    const told = events.split('\n').filter((action) => action.startsWith('health_status'));
    assert.deepEqual(told, ['health_status: healthy', 'health_status: unhealthy']);
    assert.ok(events.includes('exec_create: /bin/sh -c echo seen; test -e /up'));
    await ok('start', 'web');
    assert.equal((await health('web'))?.Status, 'starting');
    await ok('rm', '-f', 'web');
  });

  test('a check that takes too long is ended with what it started; a program that is missing is a failure', async () => {
    const quick = ['--health-interval', '100ms', '--health-retries', '1'];
    await run('slow', '--health-cmd', 'echo before; sleep 7777', '--health-timeout', '300ms', ...quick);
    const { Log } = await until('slow', 'unhealthy', ({ Status }) => Status === 'unhealthy');
    assert.deepEqual([Log[0]?.ExitCode, Log[0]?.Output], [-1, 'Health check exceeded timeout (300ms): before\n']);
    // Between two checks nothing of one is left.
    let left = 9;
    for (let attempt = 0; attempt < 100 && left > 1; attempt++) {
      left = Number((await runCommand(['sh', '-c', `pgrep -xf 'sleep 7777' | wc -l`])).stdout);
    }
    assert.ok(left <= 1, `${left} sleeps`);
    const body = {
      Image: 'busybox',
      Cmd: ['sleep', '100'],
      Healthcheck: { Test: ['CMD', 'missing', 'x'], Interval: 100_000_000, Retries: 1 },
    };
    const made = await runCommand([
      'curl',
      '-sS',
      '--unix-socket',
      daemon.host.slice('unix://'.length),
      '-H',
      'Content-Type: application/json',
      '-d',
      JSON.stringify(body),
      'http://x/containers/create?name=none',
    ]);
    assert.match(made.stdout, /"Id"/);
    await ok('start', 'none');
    const missing = await until('none', 'unhealthy', ({ Status }) => Status === 'unhealthy');
    assert.equal(missing.Log[0]?.ExitCode, -1);
    assert.match(missing.Log[0]?.Output ?? '', /exec: "missing": executable file not found in \$PATH/);
    await ok('rm', '-f', 'slow', 'none');
  });

  test('an image’s check is inherited, changed in parts, and switched off', async () => {
    const tar = await runCommand([
      'sh',
      '-c',
      `d=$(mktemp -d); cp /bin/busybox $d/busybox; mkdir $d/bin; for a in sh sleep true; do ln -s /busybox $d/bin/$a; done;
       tar -C $d -c . | docker -H ${daemon.host} import --change 'HEALTHCHECK --interval=100ms --retries=7 CMD true' - checked; rm -rf $d`,
    ]);
    assert.equal(tar.status, 0, tar.stderr);
    const inherit = ['run', '-d', '--network', 'none'];
    const command = ['checked', '/bin/sleep', '1000'];
    await ok(...inherit, '--name', 'as-is', ...command);
    await ok(...inherit, '--name', 'off', '--no-healthcheck', ...command);
    await ok(...inherit, '--name', 'part', '--health-retries', '2', ...command);
    await until('as-is', 'healthy', ({ Status }) => Status === 'healthy');
    assert.equal(await health('off'), null);
    const part = JSON.parse(await ok('inspect', '-f', '{{json .Config.Healthcheck}}', 'part')) as {
      readonly Retries: number;
      readonly Interval: number;
    };
    assert.deepEqual([part.Retries, part.Interval], [2, 100_000_000]);
    await ok('rm', '-f', 'as-is', 'off', 'part');
  });

  test('a paused container is not checked; after a SIGKILL of the daemon the health goes on', async () => {
    await run('kept', '--health-cmd', 'true', '--health-interval', '200ms');
    const before = await until('kept', 'healthy', ({ Status }) => Status === 'healthy');
    await ok('pause', 'kept');
    await delay(300);
    const paused = await health('kept');
    await delay(1000);
    assert.deepEqual(await health('kept'), paused);
    assert.equal(paused?.Status, 'healthy');
    await ok('unpause', 'kept');
    await until('kept', 'checked again', ({ Log }) => Log.at(-1)?.Start !== paused?.Log.at(-1)?.Start);
    await run('hangs', '--health-cmd', 'sleep 6666', '--health-interval', '200ms', '--health-timeout', '60s');
    await delay(600);
    await daemon.crash();
    await daemon.restart();
    const after = await health('kept');
    assert.equal(after?.Status, 'healthy');
    assert.ok((after?.Log.at(-1)?.Start ?? '') > (before.Log.at(-1)?.Start ?? ''));
    await until('kept', 'checked by the new daemon', ({ Log }) => Log.at(-1)?.Start !== after?.Log.at(-1)?.Start);
    // The check that the last daemon left running is ended, the new daemon's own may run.
    let left = 9;
    for (let attempt = 0; attempt < 100 && left > 1; attempt++) {
      left = Number((await runCommand(['sh', '-c', `pgrep -xf 'sleep 6666' | wc -l`])).stdout);
      await delay(20);
    }
    assert.ok(left <= 1, `${left} checks`);
    await ok('rm', '-f', 'kept', 'hangs');
  });
});
