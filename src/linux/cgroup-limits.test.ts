import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { limitsV1 } from './cgroup-limits-v1.ts';
import { cpuWeight, ioWeight, limitsV2, swapMax } from './cgroup-limits-v2.ts';
import type { CgroupResources, LimitWrite } from './cgroup-resources.ts';

const everything: CgroupResources = {
  memory: { limit: 1000, swap: 3000, reservation: 500, swappiness: 7, disableOOMKiller: true },
  cpu: { shares: 512, quota: 50000, period: 100000, cpus: '0-1', mems: '0' },
  pids: { limit: 100 },
  blockIO: {
    weight: 500,
    weightDevice: [{ major: 8, minor: 0, weight: 10 }],
    throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }],
    throttleWriteBpsDevice: [{ major: 8, minor: 1, rate: 2 }],
    throttleReadIOPSDevice: [{ major: 8, minor: 2, rate: 3 }],
    throttleWriteIOPSDevice: [{ major: 8, minor: 3, rate: 0 }],
  },
};

function lines(writes: readonly LimitWrite[]): string[] {
  return writes.map(({ files }) => files.map(({ name, value }) => `${name}=${value}`).join(' | '));
}

test('limitsV1: every limit has its file', () => {
  assert.deepEqual(lines(limitsV1({ ...everything, cpu: { ...everything.cpu, realtimePeriod: 9, realtimeRuntime: 8 } }, null)), [
    'memory.limit_in_bytes=1000',
    'memory.memsw.limit_in_bytes=3000',
    'memory.soft_limit_in_bytes=500',
    'memory.oom_control=1',
    'memory.swappiness=7',
    'cpu.shares=512',
    'cpu.cfs_period_us=100000',
    'cpu.cfs_quota_us=50000',
    'cpu.rt_period_us=9',
    'cpu.rt_runtime_us=8',
    'cpuset.cpus=0-1',
    'cpuset.mems=0',
    'pids.max=100',
    'blkio.weight=500 | blkio.bfq.weight=500',
    'blkio.weight_device=8:0 10 | blkio.bfq.weight_device=8:0 10',
    'blkio.throttle.read_bps_device=8:0 1',
    'blkio.throttle.write_bps_device=8:1 2',
    'blkio.throttle.read_iops_device=8:2 3',
    'blkio.throttle.write_iops_device=8:3 0',
  ]);
});

test('limitsV1: memory and swap never cross on the way', () => {
  const order = (limit: number, swap: number, current: bigint | null): string[] => lines(limitsV1({ memory: { limit, swap } }, current));
  const [memoryFirst, swapFirst] = [
    ['memory.limit_in_bytes=200', 'memory.memsw.limit_in_bytes=400'],
    ['memory.memsw.limit_in_bytes=400', 'memory.limit_in_bytes=200'],
  ];
  assert.deepEqual(order(200, 400, null), memoryFirst);
  assert.deepEqual(order(200, 400, 100n), swapFirst);
  assert.deepEqual(order(200, 400, 1000n), memoryFirst);
  assert.deepEqual(order(-1, 0, 100n), ['memory.memsw.limit_in_bytes=-1', 'memory.limit_in_bytes=-1']);
  assert.deepEqual(lines(limitsV1({ memory: { limit: 5 } }, null)), ['memory.limit_in_bytes=5']);
});

test('limitsV2: every limit has its file', () => {
  assert.deepEqual(lines(limitsV2(everything, null)), [
    'memory.swap.max=2000',
    'memory.max=1000',
    'memory.low=500',
    '',
    '',
    'cpu.weight=59',
    'cpu.max=50000 100000',
    'cpuset.cpus=0-1',
    'cpuset.mems=0',
    'pids.max=100',
    'io.bfq.weight=500 | io.weight=4950',
    'io.bfq.weight=8:0 10 | io.weight=8:0 1',
    'io.max=8:0 rbps=1',
    'io.max=8:1 wbps=2',
    'io.max=8:2 riops=3',
    'io.max=8:3 wiops=max',
  ]);
});

test('limitsV2: cpu.max keeps the half that is not given', () => {
  assert.deepEqual(lines(limitsV2({ cpu: { quota: 20000 } }, null)), ['cpu.max=20000 100000']);
  assert.deepEqual(lines(limitsV2({ cpu: { quota: 20000 } }, 'max 50000\n')), ['cpu.max=20000 50000']);
  assert.deepEqual(lines(limitsV2({ cpu: { period: 50000 } }, '20000 100000\n')), ['cpu.max=20000 50000']);
  assert.deepEqual(lines(limitsV2({ cpu: { quota: -1 } }, '20000 100000\n')), ['cpu.max=max 100000']);
  assert.throws(() => limitsV2({ cpu: { realtimeRuntime: 1 } }, null), /do not exist in cgroup v2/);
});

test('pids and unset values', () => {
  for (const limits of [limitsV1, limitsV2]) {
    assert.deepEqual(lines(limits({ pids: { limit: -1 } }, null)), ['pids.max=max']);
    assert.deepEqual(lines(limits({ pids: { limit: 0 } }, null)), ['pids.max=max']);
    assert.deepEqual(lines(limits({ memory: { limit: 0, swappiness: -1 }, cpu: { shares: 0, cpus: '' }, blockIO: {} }, null)), []);
    assert.throws(() => limits({ memory: { swappiness: 101 } }, null), /between 0 and 100/);
    assert.throws(() => limits({ blockIO: { weight: 9 } }, null), /between 10 and 1000/);
  }
});

test('swapMax: from memory with swap to swap alone', () => {
  assert.equal(swapMax(0, 0), null);
  assert.equal(swapMax(100, 0), null);
  assert.equal(swapMax(100, 100), '0');
  assert.equal(swapMax(100, 300), '200');
  assert.equal(swapMax(100, -1), 'max');
  assert.equal(swapMax(-1, 0), 'max');
  assert.throws(() => swapMax(100, 99), /must not be below/);
  assert.throws(() => swapMax(0, 99), /without a limit of memory/);
});

test('cpuWeight: the ends, the defaults, and never backwards', () => {
  for (const [shares, weight] of [
    [1, 1],
    [2, 1],
    [1024, 100],
    [262144, 10000],
    [999999, 10000],
  ] as const) {
    assert.equal(cpuWeight(shares), weight, String(shares));
  }
  fc.assert(fc.property(fc.integer({ min: 2, max: 262143 }), (shares) => cpuWeight(shares) <= cpuWeight(shares + 1)));
  assert.deepEqual([10, 500, 1000].map(ioWeight), [1, 4950, 10000]);
});
