/** What containers use of GPUs, through a daemon with a fake driver and a fake NVML (fake-nvml.c). Needs root, docker and cc. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../harness/command.ts';
import { makeFakeDriver } from '../harness/fake-driver.ts';
import { fakeNvmlLibrary, nvmlAnswersOf, nvmlFolder, writeNvmlAnswers } from '../harness/fake-nvml.ts';
import { type GantryDaemon, startGantry } from '../harness/gantry.ts';
import { programEntry } from '../harness/program.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-usage-'));
const driver = makeFakeDriver(join(directory, 'root'), { gpus: 2, nvmlLibrary: fakeNvmlLibrary() });
let daemon: GantryDaemon;

before(async () => {
  answers();
  daemon = await startGantry({ flags: ['--device-root', driver.root, '--driver-root', driver.root, '--cdi-spec-dir', ''] });
  await docker('pull', '-q', 'busybox');
});

after(async () => {
  await daemon.dispose();
  rmSync(directory, { recursive: true, force: true });
});

/** What the GPUs do from now on. */
function answers(...lines: readonly string[]): void {
  writeNvmlAnswers(join(driver.root, nvmlFolder), [...nvmlAnswersOf(driver.inventory), ...lines]);
}

async function docker(...args: readonly string[]): Promise<string> {
  return await succeeded(['docker', ...args]);
}

async function gantry(...args: readonly string[]): Promise<string> {
  return await succeeded([process.execPath, '--no-warnings', programEntry, ...args]);
}

async function succeeded(argv: [string, ...string[]]): Promise<string> {
  const { status, stdout, stderr } = await runCommand(argv, { env: { ...process.env, DOCKER_HOST: daemon.host } });
  assert.equal(status, 0, `${argv.join(' ')}: ${stderr}\n${daemon.log().slice(-2000)}`);
  return stdout.trim();
}

function answerOf(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = get({ socketPath: daemon.host.replace('unix://', ''), path, agent: false }, async (response) => {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part as Buffer);
      resolve(Buffer.concat(parts).toString());
    });
    asked.on('error', reject);
  });
}

/** The process that the daemon has call NVML. */
function nvmlProcesses(): readonly string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return (
        readFileSync(`/proc/${name}/cmdline`, 'utf8').startsWith('gantry-nvml') &&
        readFileSync(`/proc/${name}/maps`, 'utf8').includes(driver.root)
      );
    } catch {
      return false;
    }
  });
}

/** The child of a shell, once it is the program that it was started as. */
async function sleeperOf(shell: string): Promise<string> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const [child = ''] = readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').trim().split(' ');
    if (child !== '' && readFileSync(`/proc/${child}/comm`, 'utf8') === 'sleep\n') return child;
    await delay(20);
  }
  throw new Error(`no process sleeps below ${shell}`);
}

interface GpuStats {
  readonly gpu_stats?: readonly { readonly uuid: string; readonly memory_used: number | null; readonly utilization: number | null }[];
}

test('stats and top: GPUs of the containers that hold some', async () => {
  const [first, second] = driver.inventory;
  await docker('run', '-d', '--name', 'web', 'busybox', 'sleep', '1000');
  await answerOf('/containers/web/stats?stream=false&one-shot=true');
  assert.deepEqual(nvmlProcesses(), [], 'without a GPU that is held, nobody asks NVML');

  await docker('run', '-d', '--gpus', 'all', '--name', 'train', 'busybox', 'sh', '-c', 'sleep 1000 & wait');
  const pid = await docker('inspect', '-f', '{{.State.Pid}}', 'train');
  const child = await sleeperOf(pid);
  const mebibyte = 2 ** 20;
  answers(
    `process gpu=0 pid=${pid} memory=${1024 * mebibyte} util=30`,
    `process gpu=0 pid=${child} memory=${512 * mebibyte} util=12`,
    `process gpu=0 pid=1 memory=${4096 * mebibyte} util=50`,
  );
  const total = first?.memoryBytes;
  const [oneShot, rows, table, top, dockerTable] = await Promise.all([
    answerOf('/containers/train/stats?stream=false&one-shot=true'),
    gantry('stats', '--no-stream', '--format', '{{.Name}} {{.GPUPerc}} {{.GPUMem}}'),
    gantry('stats', '--no-stream'),
    gantry('top', '--no-stream'),
    docker('stats', '--no-stream'),
  ]);
  assert.deepEqual((JSON.parse(oneShot) as GpuStats).gpu_stats, [
    { uuid: first?.uuid, index: 0, memory_used: 1536 * mebibyte, memory_total: total, utilization: 42 },
    { uuid: second?.uuid, index: 1, memory_used: 0, memory_total: total, utilization: 0 },
  ]);
  assert.deepEqual(rows.split('\n').sort(), ['train 42.00% 1.5GiB / 159.3GiB', 'web -- --']);
  assert.match(table, /^CONTAINER ID +NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +GPU % +GPU MEM +NET I\/O +BLOCK I\/O +PIDS\n/);
  assert.match(top, /^train +\S+% +.* 42\.00% +1\.5GiB \/ 159\.3GiB +2$/m);
  assert.match(top, new RegExp(`^${pid} +train .* 30\\.00% +1GiB +sh$`, 'm'));
  assert.match(top, new RegExp(`^${child} +train .* 12\\.00% +512MiB +sleep$`, 'm'));
  assert.match(top, /^web +.* -- +-- +1$/m);
  assert.match(dockerTable, /^CONTAINER ID +NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS\n/);
});

test('NVML that hangs or crashes holds up neither _ping nor stats nor stop, nor the end of the daemon', async () => {
  const first = driver.inventory[0]?.uuid;
  const nothing = { uuid: first, index: null, memory_used: null, memory_total: null, utilization: null };
  answers('crash nvmlDeviceGetCount_v2');
  // What was read a moment ago may serve once more.
  let stats: GpuStats;
  for (let attempt = 0; ; attempt++) {
    stats = JSON.parse(await answerOf('/containers/train/stats?stream=false&one-shot=true')) as GpuStats;
    if (stats.gpu_stats?.[0]?.memory_used === null || attempt === 100) break;
    await delay(100);
  }
  assert.deepEqual({ ...stats.gpu_stats?.[0] }, { ...nothing, uuid: driver.gpus[0]?.uuid });
  assert.match(daemon.log(), /cannot read from NVML what GPUs do/);

  await daemon.stop();
  answers('delay nvmlInit_v2 600000');
  await daemon.restart();
  const slow = answerOf('/containers/train/stats?stream=false&one-shot=true');
  while (nvmlProcesses().length === 0) await delay(20);
  const pinged = performance.now();
  assert.equal(await answerOf('/_ping'), 'OK');
  assert.ok(performance.now() - pinged < 5000);
  assert.deepEqual((JSON.parse(await slow) as GpuStats).gpu_stats?.[0], nothing);
  assert.doesNotMatch(daemon.log(), /did not answer/, 'the answer came before NVML was given up');
  await docker('stop', '-t', '0', 'train');
  const ended = performance.now();
  await daemon.stop();
  assert.ok(performance.now() - ended < 20_000);
  assert.deepEqual(nvmlProcesses(), []);
  answers();
});
