import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NvmlSource, readInventory, readUsage } from './read-gpus.ts';

/** A library of an old driver, with one GPU; a test says what it can do beyond. */
function source(more: Partial<NvmlSource> = {}): NvmlSource {
  return {
    shutdown: () => {},
    driverVersion: () => null,
    cudaVersion: () => null,
    deviceCount: () => 1,
    device: (index) => BigInt(index + 1),
    uuid: (device) => (device < 100n ? `GPU-${device}` : `MIG-${device}`),
    ...{ name: () => null, busId: () => null, minor: () => null, memory: () => null, utilization: () => null, temperature: () => null },
    ...{ powerMilliwatts: () => null, processes: () => null, processSamples: () => null, parts: () => [], attributes: () => null },
    ...{ gpuInstance: () => null, computeInstance: () => null },
    ...more,
  };
}

test('readInventory: what is not told is left open; a GPU that is lost is left out', () => {
  const lost = source({ deviceCount: () => 3, device: (index) => (index === 1 ? null : BigInt(index + 1)) });
  assert.deepEqual(
    readInventory(lost).map(({ index, uuid, minor, memoryBytes, cudaVersion }) => ({ index, uuid, minor, memoryBytes, cudaVersion })),
    [
      { index: 0, uuid: 'GPU-1', minor: 0, memoryBytes: null, cudaVersion: null },
      { index: 2, uuid: 'GPU-3', minor: 2, memoryBytes: null, cudaVersion: null },
    ],
  );
});

test('readInventory: addresses as sysfs has them, profiles from names or from what a part was given', () => {
  const divided = source({
    busId: () => '00010000:0A:00.0',
    parts: () => [null, 101n, 102n, 103n],
    name: (device) => (device === 101n ? 'NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb' : 'NVIDIA A100-SXM4-40GB'),
    attributes: (part) => (part === 102n ? { gpuSlices: 3, computeSlices: 1, memoryMiB: 19_968 } : null),
    gpuInstance: (part) => Number(part - 100n),
    computeInstance: () => 0,
  });
  const [gpu] = readInventory(divided);
  assert.equal(gpu?.pciAddress, '10000:0a:00.0');
  assert.deepEqual(
    gpu?.parts.map(({ index, gpuInstance, profile }) => [index, gpuInstance, profile]),
    [
      [1, 1, '1c.3g.20gb'],
      [2, 2, '1c.3g.20gb'],
      [3, 3, ''],
    ],
  );
});

test('readUsage: the samples of a process are averaged, one without samples does nothing, and nothing is known where there are none', () => {
  const processes = () => [
    { pid: 5, memory: 10, gpuInstance: null, computeInstance: null },
    { pid: 6, memory: null, gpuInstance: null, computeInstance: null },
  ];
  const asked: bigint[] = [];
  const processSamples = (_device: bigint, since: bigint) => {
    asked.push(since);
    return [
      { pid: 5, at: 1n, busy: 10 },
      { pid: 5, at: 2n, busy: 31 },
    ];
  };
  const [gpu] = readUsage(source({ processes, processSamples }), 10_000);
  assert.deepEqual(gpu?.processes, [
    { pid: 5, part: null, memoryBytes: 10, utilizationPercent: 21 },
    { pid: 6, part: null, memoryBytes: null, utilizationPercent: 0 },
  ]);
  assert.deepEqual(asked, [8_000_000n]);
  assert.equal(readUsage(source({ processes }))[0]?.processes[0]?.utilizationPercent, null);
});
