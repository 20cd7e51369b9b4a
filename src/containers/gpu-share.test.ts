import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GpuProcess, GpuUsage } from '../devices/nvml/gpu-readings.ts';
import { gpuShares, gpusOf, processGpuUses } from './gpu-share.ts';

const process = (pid: number, more: Partial<GpuProcess> = {}): GpuProcess => ({
  ...{ pid, part: null, memoryBytes: 100, utilizationPercent: 10 },
  ...more,
});
const gpu = (index: number, processes: readonly GpuProcess[], more: Partial<GpuUsage> = {}): GpuUsage => ({
  ...{ uuid: `GPU-${index}`, index, utilizationPercent: 77, memoryUsedBytes: 5000, memoryTotalBytes: 8000 },
  ...{ temperatureCelsius: null, powerMilliwatts: null, processes, parts: [] },
  ...more,
});
const of = (...pids: readonly number[]) => new Set(pids);

test('gpusOf: the GPUs that NVML knows', () => {
  const held = ['nvidia.com/gpu=GPU-0', 'nvidia.com/gpu=0:1', 'amd.com/gpu=0', 'vendor.com/camera=front'];
  assert.deepEqual(gpusOf(held.map((device) => ({ device, exclusive: false }))), ['GPU-0', '0:1']);
});

test("gpuShares: the container's processes on each GPU that it holds, 0 on one that it does not use", () => {
  const usage = [gpu(0, [process(1), process(2, { memoryBytes: 200, utilizationPercent: 95 }), process(9)]), gpu(1, [process(9)])];
  const total = { memoryTotalBytes: 8000 };
  assert.deepEqual(gpuShares(['GPU-0', '1', '0'], of(1, 2), usage), [
    { uuid: 'GPU-0', index: 0, memoryUsedBytes: 300, utilizationPercent: 100, ...total },
    { uuid: 'GPU-1', index: 1, memoryUsedBytes: 0, utilizationPercent: 0, ...total },
  ]);
  assert.equal(gpuShares(['all'], of(1), usage).length, 2);
});

test('gpuShares: where processes are not measured, the GPU is its only user', () => {
  const unmeasured = { utilizationPercent: null };
  const utilization = (processes: readonly GpuProcess[]) => gpuShares(['0'], of(1), [gpu(0, processes)])[0]?.utilizationPercent;
  assert.equal(utilization([process(1, unmeasured)]), 77);
  assert.equal(utilization([process(1, unmeasured), process(9, unmeasured)]), null);
  assert.equal(utilization([process(9, unmeasured)]), 0);
  assert.equal(gpuShares(['0'], of(1), [gpu(0, [process(1, { memoryBytes: null })])])[0]?.memoryUsedBytes, null);
});

test('gpuShares: a part of a divided GPU', () => {
  const parts = [
    { uuid: 'MIG-a', index: 0, memoryUsedBytes: 50, memoryTotalBytes: 1000 },
    { uuid: 'MIG-b', index: 1, memoryUsedBytes: 50, memoryTotalBytes: 2000 },
  ];
  const inPart = (pid: number, part: string) => process(pid, { part, utilizationPercent: null });
  const usage = [gpu(0, [inPart(1, 'MIG-a'), inPart(1, 'MIG-b'), inPart(9, 'MIG-b')], { parts })];
  const expected = { uuid: 'MIG-b', index: 0, memoryUsedBytes: 100, memoryTotalBytes: 2000, utilizationPercent: null };
  assert.deepEqual(gpuShares(['MIG-b'], of(1), usage), [expected]);
  assert.deepEqual(gpuShares(['0:1'], of(1), usage), [expected]);
});

test('gpuShares: a GPU of which nothing is known is named all the same', () => {
  const unknown = { uuid: 'GPU-7', index: null, memoryUsedBytes: null, memoryTotalBytes: null, utilizationPercent: null };
  assert.deepEqual(gpuShares(['GPU-7'], of(1), null), [unknown]);
  assert.deepEqual(gpuShares(['GPU-7'], of(1), [gpu(0, [])]), [unknown]);
});

test('processGpuUses: of all GPUs together', () => {
  const usage = [gpu(0, [process(1), process(9)]), gpu(1, [process(1, { utilizationPercent: null })])];
  assert.deepEqual([...processGpuUses(of(1, 2), usage)], [[1, { memoryBytes: 200, utilizationPercent: 10 }]]);
});
