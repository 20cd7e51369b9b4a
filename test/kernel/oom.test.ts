/** The kernel's OOM killer in containers: told at once, and truthfully afterwards. Needs root and the docker command line. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cgroupFacts } from '../../src/linux/cgroup-facts.ts';
import { cgroupHost } from '../../src/linux/cgroup-host.ts';
import { createCgroup, removeCgroup } from '../../src/linux/cgroups.ts';
import { armFile, makeEventPoll, waitForEvents } from '../../src/linux/event-poll.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { containersMissing, dockerOutput } from '../harness/running-containers.ts';

const skip = (await containersMissing()) || (cgroupFacts().memoryLimit ? false : 'needs memory limits');

const limit = ['--network', 'none', '-m', '16m', '--memory-swap', '16m'];
const devour = 'head -c 200m /dev/zero | tail -c 100m >/dev/null';

suite('oom', { skip }, () => {
  let daemon: GantryDaemon;
  let events: ChildProcess;
  let seen = '';

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
    events = spawn(
      'docker',
      ['-H', daemon.host, 'events', '--filter', 'type=container', '--format', '{{.Actor.Attributes.name}} {{.Action}}'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    events.stdout?.on('data', (chunk) => {
      seen += chunk;
    });
  });

  after(async () => {
    events.kill();
    await daemon.dispose();
  });

  const docker = (...args: readonly string[]) => dockerOutput(daemon.host, ...args);

  async function untilSeen(line: string): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!seen.split('\n').includes(line)) {
      assert.ok(Date.now() < deadline, `no "${line}" in:\n${seen}`);
      await delay(20);
    }
  }

  const count = (line: string) => seen.split('\n').filter((each) => each === line).length;

  test('a child that runs out of memory is told while the container goes on', async () => {
    await docker('run', '-d', '--name', 'parent', ...limit, 'busybox', 'sh', '-c', `sleep 1; ${devour}; sleep 1000`);
    await untilSeen('parent oom');
    assert.equal(await docker('inspect', '-f', '{{.State.Status}} {{.State.OOMKilled}}', 'parent'), 'running true');
    await docker('rm', '-f', 'parent');
    await untilSeen('parent destroy');
    assert.equal(count('parent oom'), 1);
  });

  test('a container whose init is killed: oom once, before die; exit code 137 and OOMKilled', async () => {
    await docker('run', '-d', '--name', 'init', ...limit, 'busybox', 'tail', '-c', '100m', '/dev/zero');
    await untilSeen('init die');
    assert.equal(await docker('inspect', '-f', '{{.State.ExitCode}} {{.State.OOMKilled}}', 'init'), '137 true');
    const lines = seen.split('\n');
    assert.ok(lines.indexOf('init oom') !== -1 && lines.indexOf('init oom') < lines.indexOf('init die'), seen);
    assert.equal(count('init oom'), 1);
  });

  test('a kill by hand is no OOM kill; a start forgets the last one', async () => {
    await docker('run', '-d', '--name', 'killed', ...limit, 'busybox', 'sleep', '1000');
    await docker('kill', 'killed');
    assert.equal(await docker('inspect', '-f', '{{.State.ExitCode}} {{.State.OOMKilled}}', 'killed'), '137 false');
    assert.equal(count('killed oom'), 0);
  });

  test('armFile: a file of cgroup2 reports once, and again when it was armed again', { skip: unifiedMissing() }, async () => {
    const path = `/gantry-oom-${process.pid}`;
    const { placement } = await createCgroup(path, {});
    const poll = makeEventPoll();
    const file = openSync(`${placement.v2Directory}/cgroup.events`, 'r');
    const text = Buffer.alloc(256);
    const look = () => readSync(file, text, 0, text.length, 0);
    const child = spawn('/bin/busybox', ['sleep', '1000'], { stdio: 'ignore' });
    try {
      look();
      armFile(poll, file, 7, 'new');
      assert.deepEqual(waitForEvents(poll, 0), []);
      writeFileSync(`${placement.v2Directory}/cgroup.procs`, String(child.pid));
      assert.deepEqual(waitForEvents(poll, 10_000), [7]);
      assert.deepEqual(waitForEvents(poll, 0), []);
      look();
      armFile(poll, file, 7, 'again');
      child.kill('SIGKILL');
      // The signal of the child's end interrupts a wait, and its end counts when this process has seen it.
      const deadline = Date.now() + 10_000;
      while (waitForEvents(poll, 0).length === 0) {
        assert.ok(Date.now() < deadline, 'the second change was not reported');
        await delay(10);
      }
    } finally {
      child.kill('SIGKILL');
      closeSync(file);
      closeSync(poll);
      await removeCgroup(path);
    }
  });

  test('it is told after a restart of the daemon too', async () => {
    await docker(
      'run',
      '-d',
      '--name',
      'later',
      ...limit,
      'busybox',
      'sh',
      '-c',
      `while [ ! -e /go ]; do usleep 10000; done; ${devour}; sleep 1000`,
    );
    await daemon.crash();
    await daemon.restart();
    await docker('exec', 'later', 'touch', '/go');
    const deadline = Date.now() + 20_000;
    while ((await docker('inspect', '-f', '{{.State.OOMKilled}}', 'later')) !== 'true') {
      assert.ok(Date.now() < deadline, 'OOMKilled stays false');
      await delay(50);
    }
  });
});

function unifiedMissing(): string | false {
  return cgroupHost().unified === null ? 'needs a cgroup2 mount' : false;
}
