/** Pause and unpause on this kernel, through the docker command line. Needs root and writable cgroups. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { kernelFiles } from '../../src/linux/cgroup-files.ts';
import { freezeCgroup, isFrozen, thawCgroup } from '../../src/linux/cgroup-freezer.ts';
import { cgroupHost } from '../../src/linux/cgroup-host.ts';
import { createCgroup, removeCgroup } from '../../src/linux/cgroups.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { loadBusybox } from '../harness/images.ts';
import { containersMissing, dockerOutput } from '../harness/running-containers.ts';

const skip = await containersMissing();

suite('pause', { skip }, () => {
  let daemon: GantryDaemon;

  before(async () => {
    daemon = await startGantry();
    await loadBusybox(daemon.host);
  });

  after(async () => {
    await daemon.dispose();
  });

  const docker = (...args: readonly string[]) => dockerOutput(daemon.host, ...args);

  const state = (name: string) => docker('inspect', '-f', '{{.State.Status}} {{.State.Running}} {{.State.Paused}}', name);
  /** Grows by a line every 10 ms while the container runs. */
  const counter = ['busybox', 'sh', '-c', 'while :; do echo x; usleep 10000; done'];
  const lines = async (name: string) => (await docker('logs', name)).length;

  async function untilLonger(name: string, than: number): Promise<void> {
    const deadline = Date.now() + 20_000;
    while ((await lines(name)) <= than) {
      assert.ok(Date.now() < deadline, 'the container does not run');
      await delay(20);
    }
  }

  test('a paused container does nothing, and goes on after unpause', async () => {
    await docker('run', '-d', '--name', 'counter', '--network', 'none', ...counter);
    await untilLonger('counter', 0);
    await docker('pause', 'counter');
    assert.equal(await state('counter'), 'paused true true');
    assert.match(await docker('ps', '--filter', 'status=paused', '--format', '{{.Names}} {{.Status}}'), /^counter Up .* \(Paused\)$/);
    const length = await lines('counter');
    await delay(100);
    assert.equal(await lines('counter'), length);
    assert.equal(await docker('info', '-f', '{{.ContainersRunning}} {{.ContainersPaused}}'), '0 1');
    await docker('unpause', 'counter');
    await untilLonger('counter', length);
    assert.equal(await state('counter'), 'running true false');
  });

  test('paused outlives the daemon, and the end thaws it', async () => {
    await docker('pause', 'counter');
    await daemon.crash();
    await daemon.restart();
    assert.equal(await state('counter'), 'paused true true');
    const length = await lines('counter');
    await docker('unpause', 'counter');
    await untilLonger('counter', length);
    await docker('pause', 'counter');
    await docker('stop', '-t', '0', 'counter');
    assert.equal(await state('counter'), 'exited false false');
  });

  test('stop lets a paused process handle its signal; kill and rm -f end it at once', async () => {
    const script = 'trap "exit 5" TERM; echo ready; while :; do usleep 10000; done';
    await docker('run', '-d', '--name', 'handler', '--network', 'none', 'busybox', 'sh', '-c', script);
    await untilLonger('handler', 0);
    await docker('pause', 'handler');
    await docker('stop', '-t', '30', 'handler');
    assert.equal(await docker('inspect', '-f', '{{.State.ExitCode}}', 'handler'), '5');
    await docker('start', 'handler');
    await docker('pause', 'handler');
    await docker('kill', 'handler');
    assert.equal(await docker('inspect', '-f', '{{.State.ExitCode}}', 'handler'), '137');
    await docker('start', 'handler');
    await docker('pause', 'handler');
    await docker('rm', '-f', 'handler');
  });

  test('freezer v1: freezes, tells and thaws where there is no cgroup2', { skip: v1Missing() }, async () => {
    const path = `/gantry-freeze-${process.pid}`;
    const system = { host: { ...cgroupHost(), mode: 'v1' as const, unified: null }, files: kernelFiles, patienceMs: 10_000 };
    const { placement } = await createCgroup(path, {});
    let child: ChildProcess | null = null;
    try {
      child = spawn('/bin/busybox', ['sh', '-c', 'while :; do :; done'], { stdio: 'ignore' });
      writeFileSync(`${placement.paths.freezer}/cgroup.procs`, String(child.pid));
      await freezeCgroup(path, system);
      assert.equal(isFrozen(path, system), true);
      const ticks = () => readFileSync(`/proc/${child?.pid}/stat`, 'utf8').split(' ').slice(13, 15).join(' ');
      const before = ticks();
      await delay(100);
      assert.equal(ticks(), before);
      thawCgroup(path, system);
      assert.equal(isFrozen(path, system), false);
    } finally {
      child?.kill('SIGKILL');
      await removeCgroup(path);
    }
  });
});

function v1Missing(): string | false {
  return cgroupHost().v1.has('freezer') ? false : 'needs the cgroup v1 controller freezer';
}
