/** Against the fake library (test/devices/fake-nvml.c); needs `cc`. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fakeNvmlLibrary, nvmlFolder, writeNvmlAnswers } from '../../../test/harness/fake-nvml.ts';
import { silentLogger } from '../../base/log.ts';
import { createGpuReadings, type ReadingTimes } from './create-gpu-readings.ts';

const gpu = 'gpu uuid=GPU-a name=NVIDIA_H100 pci=00000000:0A:00.0 total=85899345920 used=1000 util=37';
const isBuilt = existsSync('/usr/bin/cc') ? false : 'needs cc';

/** A driver root with the library, and readings from there. */
function driver(t: TestContext, { kind = 'new', times = {} }: { kind?: 'new' | 'old'; times?: Partial<ReadingTimes> } = {}) {
  const root = mkdtempSync(join(tmpdir(), 'gantry-nvml-'));
  const folder = join(root, nvmlFolder);
  mkdirSync(folder, { recursive: true });
  const library = join(folder, 'libnvidia-ml.so.1');
  copyFileSync(fakeNvmlLibrary(kind), library);
  const warnings: string[] = [];
  const warn = (fields: Readonly<Record<string, unknown>>): void => void warnings.push(String(fields.error));
  const readings = createGpuReadings({ driverRoot: root, logger: { ...silentLogger, warn }, times });
  t.after(async () => {
    await readings.close();
    rmSync(root, { recursive: true });
  });
  return { root, library, warnings, readings, answers: (...lines: readonly string[]) => writeNvmlAnswers(folder, lines) };
}

/** Processes that call NVML for a driver root. */
function callers(root: string): readonly number[] {
  const isCaller = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/maps`, 'utf8').includes(`${root}/`);
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isCaller(name))
    .map(Number);
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (isTrue()) return;
    await delay(20);
  }
  assert.fail(`${what}: not within ten seconds`);
}

test('createGpuReadings: GPUs, parts and processes, as a new driver and an old one tell them', { skip: isBuilt }, async (t) => {
  const lines = [
    gpu,
    'gpu uuid=GPU-b name=NVIDIA_H100 pci=00000000:0B:00.0 total=85899345920 used=5',
    'part gpu=1 slot=0 uuid=MIG-x name=NVIDIA_H100_MIG_1g.10gb gi=7 ci=0 total=10737418240 used=5',
    'process gpu=0 pid=12 memory=100 util=10',
    'process gpu=0 pid=13 memory=200 kind=graphics',
    'process gpu=1 pid=15 memory=7 gi=7 ci=0',
  ];
  const newer = driver(t);
  newer.answers(...lines);
  const [inventory, usage, again] = await Promise.all([newer.readings.inventory(), newer.readings.usage(), newer.readings.usage()]);
  assert.equal(usage, again, 'callers at once share a reading');
  assert.equal(callers(newer.root).length, 1);
  assert.deepEqual(
    inventory?.map(({ uuid, pciAddress, minor, memoryBytes, cudaVersion, parts }) => [
      uuid,
      pciAddress,
      minor,
      memoryBytes,
      cudaVersion,
      parts.length,
    ]),
    [
      ['GPU-a', '0000:0a:00.0', 0, 85899345920, '12.8', 0],
      ['GPU-b', '0000:0b:00.0', 1, 85899345920, '12.8', 1],
    ],
  );
  const [first, second] = usage ?? [];
  assert.deepEqual(
    [first?.utilizationPercent, first?.memoryUsedBytes, first?.temperatureCelsius, first?.powerMilliwatts],
    [37, 1000, 40, 70000],
  );
  assert.deepEqual(first?.processes, [
    { pid: 12, part: null, memoryBytes: 100, utilizationPercent: 10 },
    { pid: 13, part: null, memoryBytes: 200, utilizationPercent: 0 },
  ]);
  assert.deepEqual(second?.processes, [{ pid: 15, part: 'MIG-x', memoryBytes: 7, utilizationPercent: null }]);
  assert.deepEqual(second?.parts, [{ uuid: 'MIG-x', index: 0, memoryUsedBytes: 5, memoryTotalBytes: 10737418240 }]);

  newer.answers(...lines, 'stride 32', 'fail nvmlDeviceGetTemperature 3');
  const wide = await newer.readings.usage();
  assert.deepEqual(wide?.[0]?.processes, first?.processes, 'lists of early 535 drivers');
  assert.equal(wide?.[0]?.temperatureCelsius, null);

  const older = driver(t, { kind: 'old' });
  older.answers(...lines);
  const [old] = (await older.readings.usage()) ?? [];
  assert.deepEqual(old?.processes, first?.processes);
  assert.equal(old?.memoryUsedBytes, 1000 + 2 ** 20, 'what the driver keeps for itself is not told apart');
});

test('createGpuReadings: the process ends when nobody asks, and another one answers the next', { skip: isBuilt }, async (t) => {
  const { root, readings, answers, warnings } = driver(t, { times: { idleMs: 50 } });
  answers(gpu);
  assert.equal((await readings.usage())?.length, 1);
  await until('its process has ended', () => callers(root).length === 0);
  assert.equal((await readings.usage())?.length, 1);
  assert.deepEqual(warnings, []);
});

test('createGpuReadings: one that was ended while nobody asked is replaced', { skip: isBuilt }, async (t) => {
  const { root, readings, answers, warnings } = driver(t);
  answers(gpu);
  await readings.usage();
  const [pid = 0] = callers(root);
  process.kill(pid, 'SIGKILL');
  // A child that has not been reaped keeps its number.
  await until('it has ended', () => !existsSync(`/proc/${pid}`));
  await delay(20);
  assert.equal((await readings.usage())?.length, 1);
  assert.deepEqual(warnings, []);
});

test('createGpuReadings: a library that cannot be loaded is asked again when it is another file', { skip: isBuilt }, async (t) => {
  const { library, readings, answers, warnings } = driver(t);
  answers(gpu);
  writeFileSync(library, 'no library');
  assert.equal(await readings.usage(), null);
  assert.equal(await readings.usage(), null);
  assert.equal(warnings.length, 1, 'it was not loaded again');
  rmSync(library);
  assert.equal(await readings.usage(), null);
  copyFileSync(fakeNvmlLibrary(), library);
  assert.equal((await readings.usage())?.length, 1);
});

test('createGpuReadings: a driver that is not loaded, a crash and a hang are null, then nothing for a while', {
  skip: isBuilt,
}, async (t) => {
  const cases = [
    ['fail nvmlInit_v2 9', /the NVIDIA driver is not loaded/],
    ['crash nvmlDeviceGetCount_v2', /ended with SIGABRT/],
    ['delay nvmlDeviceGetUtilizationRates 60000', /did not answer within 1\.5 s/],
  ] as const;
  await Promise.all(
    cases.map(async ([line, told]) => {
      const { root, readings, answers, warnings } = driver(t, {
        times: { firstMs: line.startsWith('delay') ? 1500 : 20_000, restMs: 500 },
      });
      answers(gpu, line);
      assert.equal(await readings.usage(), null, line);
      assert.match(warnings[0] ?? '', told);
      answers(gpu);
      assert.equal(await readings.usage(), null, `${line}: it rests`);
      await until('its process has ended', () => callers(root).length === 0);
      // A machine that is busy may be late once more.
      let inventory = null;
      for (let attempt = 0; inventory === null && attempt < 100; attempt++) {
        await delay(100);
        inventory = await readings.inventory();
      }
      assert.equal(inventory?.length, 1, line);
    }),
  );
});

test('createGpuReadings: closing waits for no answer', { skip: isBuilt }, async (t) => {
  const { root, readings, answers } = driver(t);
  answers(gpu, 'delay nvmlInit_v2 60000');
  const asked = readings.usage();
  await until('it is asked', () => callers(root).length === 1);
  const begun = performance.now();
  await readings.close();
  assert.equal(await asked, null);
  assert.ok(performance.now() - begun < 5000);
  assert.equal(await readings.usage(), null);
  await until('its process has ended', () => callers(root).length === 0);
});

test('createGpuReadings: without a library nothing is started', async () => {
  const readings = createGpuReadings({ driverRoot: '/nowhere', logger: silentLogger });
  assert.deepEqual([await readings.inventory(), await readings.usage()], [null, null]);
});

test('createGpuReadings: its process dies with the daemon, in the middle of a call too', { skip: isBuilt }, async (t) => {
  const { root, answers } = driver(t);
  answers(gpu, 'delay nvmlInit_v2 60000');
  const script = `import { createGpuReadings } from ${JSON.stringify(new URL('./create-gpu-readings.ts', import.meta.url).href)};
    const log = () => {};
    await createGpuReadings({ driverRoot: ${JSON.stringify(root)}, logger: { debug: log, info: log, warn: log, error: log } }).usage();`;
  const daemon = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', script], { stdio: 'ignore' });
  await until('it is asked', () => callers(root).length === 1);
  daemon.kill('SIGKILL');
  await until('its process has ended', () => callers(root).length === 0);
});
