/**
 * Who gets which GPU of a fake machine with two, and for how long: from a container's start to its end, whatever happens to the container or the daemon. Needs root, the docker client
 * and busybox-static.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommandResult, runCommand } from '../harness/command.ts';
import { makeFakeDriver } from '../harness/fake-driver.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const exclusive = ['--gpus', 'count=1,options=exclusive=true'] as const;
/** Goes on until it is stopped; stops at once. */
const stays = ['sh', '-c', 'echo $NVIDIA_VISIBLE_DEVICES; trap "exit 0" TERM; sleep 1000 & wait'] as const;

suite('exclusive devices', { skip, timeout: 600_000 }, () => {
  let directory: string;
  let daemon: GantryDaemon;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'gantry-exclusive-'));
    const { root } = makeFakeDriver(directory, { gpus: 2 });
    daemon = await startGantry({ flags: ['--device-root', root, '--driver-root', root, '--cdi-spec-dir', ''] });
    assert.equal((await docker('pull', '-q', 'busybox')).status, 0);
  });

  after(async () => {
    await daemon?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  afterEach(async () => {
    const names = (await docker('ps', '-aq')).stdout.split('\n').filter((name) => name !== '');
    if (names.length > 0) await docker('rm', '-f', ...names);
  });

  test('several starts at one moment: as many as there are GPUs, each with another one; the others are told who has them', async () => {
    const names = ['one', 'two', 'three', 'four'];
    const results = await Promise.all(
      names.map((name) => docker('run', '-d', '--network', 'none', '--name', name, ...exclusive, 'busybox', ...stays)),
    );
    const started = names.filter((_, index) => results[index]?.status === 0);
    assert.equal(started.length, 2, results.map(({ stderr }) => stderr).join(''));
    assert.deepEqual((await Promise.all(started.map(visible))).sort(), ['0', '1']);
    const holders = started.map((name) => `held exclusively by container ${name} \\([0-9a-f]{12}\\)`);
    for (const { stderr } of results.filter(({ status }) => status !== 0)) {
      assert.match(stderr, /1 GPU was asked for, but 0 of 2 are free: GPU 0 .*; GPU 1 .*\. Stop one of these first/);
      for (const holder of holders) assert.match(stderr, new RegExp(holder));
    }
    for (const all of [
      ['--gpus', 'all'],
      ['--device', 'nvidia.com/gpu=all'],
      ['--gpus', 'device=0'],
    ]) {
      assert.match(await refusal(...all), /GPU 0 .* is held exclusively by container/, all.join(' '));
    }
  });

  test('a GPU that others have is not given exclusively; a number of GPUs takes the least used', async () => {
    await starts('first', '--gpus', '1');
    await starts('second', '--gpus', '1');
    assert.deepEqual([await visible('first'), await visible('second')], ['0', '1']);
    assert.match(await refusal(...exclusive), /GPU 0 .* cannot be had exclusively: container first .* has it too; GPU 1 .* second/);
    await docker('stop', 'first');
    await starts('third', ...exclusive);
    assert.equal(await visible('third'), '0');
    await starts('fourth', '--gpus', '1');
    assert.equal(await visible('fourth'), '1');
  });

  test('free again when it ends, is removed with --rm, or does not even start', async () => {
    const twice = ['--gpus', 'all,options=exclusive=true'] as const;
    for (const kind of [[], ['--rm'], []]) {
      assert.equal((await docker('run', '--network', 'none', ...kind, ...twice, 'busybox', 'true')).status, 0);
    }
    assert.equal((await docker('run', '--network', 'none', ...twice, 'busybox', 'no-such-program')).status, 127);
    assert.match(await refusal(...twice, '--device', 'vendor.com/no=one'), /unresolvable CDI devices vendor\.com\/no=one/);
    await starts('killed', ...twice);
    assert.match(await refusal(...exclusive), /container killed/);
    await docker('kill', 'killed');
    await docker('wait', 'killed');
    assert.equal((await docker('start', 'killed')).status, 0);
    assert.match(await refusal(...exclusive), /container killed/);
    await docker('rename', 'killed', 'renamed');
    assert.match(await refusal(...exclusive), /container renamed/);
    await docker('rm', '-f', 'renamed');
    await starts('last', ...twice);
  });

  test('a daemon that dies takes nothing away; what ended meanwhile is free', async () => {
    await starts('stays', ...exclusive);
    await starts('ends', '--gpus', 'device=1,options=exclusive=true');
    const pid = (await docker('inspect', '-f', '{{.State.Pid}}', 'ends')).stdout.trim();
    await daemon.crash();
    process.kill(Number(pid), 'SIGKILL');
    await daemon.restart();
    assert.match(await refusal('--gpus', 'device=0'), /GPU 0 .* is held exclusively by container stays/);
    assert.match(await refusal('--gpus', 'all'), /GPU 0 .* is held exclusively by container stays/);
    await starts('next', ...exclusive);
    assert.equal(await visible('next'), '1');
    await docker('rm', '-f', 'stays');
    assert.equal((await docker('run', '--rm', '--network', 'none', '--gpus', 'device=0', 'busybox', 'true')).status, 0);
  });

  test('a restart policy takes it anew at each start', async () => {
    await starts('again', '--restart', 'always', ...exclusive);
    const pid = async () => (await docker('inspect', '-f', '{{.State.Pid}}', 'again')).stdout.trim();
    const before = await pid();
    process.kill(Number(before), 'SIGKILL');
    await until(async () => !['0', before].includes(await pid()));
    assert.match(await refusal('--gpus', 'all'), /is held exclusively by container again/);
    await docker('restart', 'again');
    assert.match(await refusal('--gpus', 'all'), /is held exclusively by container again/);
    await docker('stop', 'again');
    await starts('last', '--gpus', 'all,options=exclusive=true');
  });

  test('--runtime nvidia: what the environment names, by the default runtime; without a name, nothing', async () => {
    const look = ['busybox', 'sh', '-c', 'cd /dev; echo nvidia[0-9]; sleep 1000'] as const;
    await docker('run', '-d', '--network', 'none', '--name', 'one', '--runtime', 'nvidia', '-e', 'NVIDIA_VISIBLE_DEVICES=1', ...look);
    await docker('run', '-d', '--network', 'none', '--name', 'none', '--runtime', 'nvidia', ...look);
    assert.deepEqual([await visible('one'), await visible('none')], ['nvidia1', 'nvidia[0-9]']);
    assert.equal((await docker('inspect', '-f', '{{.HostConfig.Runtime}}', 'one')).stdout.trim(), 'nvidia');
    assert.match(await refusal('--gpus', 'device=1,options=exclusive=true'), /GPU 1 .* cannot be had exclusively: container one/);
  });

  async function starts(name: string, ...options: readonly string[]): Promise<void> {
    const { status, stderr } = await docker('run', '-d', '--network', 'none', '--name', name, ...options, 'busybox', ...stays);
    assert.equal(status, 0, stderr);
  }

  async function refusal(...options: readonly string[]): Promise<string> {
    const { status, stderr } = await docker('run', '--rm', '--network', 'none', ...options, 'busybox', 'true');
    assert.equal(status, 125, stderr);
    return stderr;
  }

  /** What the container says first. */
  async function visible(name: string): Promise<string> {
    let said = '';
    await until(async () => {
      said = (await docker('logs', name)).stdout.trim();
      return said !== '';
    });
    return said;
  }

  function docker(...args: readonly string[]): Promise<CommandResult> {
    return runCommand(['docker', '-H', daemon.host, ...args]);
  }
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    assert.ok(tries < 600, 'it did not come about within a minute');
    await delay(100);
  }
}
