import assert from 'node:assert/strict';
import { totalmem } from 'node:os';
import { test } from 'node:test';
import type { ContainerStats, UsageSample } from '../containers/containers.ts';
import { statsLine } from './stats-json.ts';

const id = 'a'.repeat(64) as ContainerStats['id'];
const throttling = { periods: 1n, throttledPeriods: 2n, throttledTime: 3n };

const v1: UsageSample = {
  at: new Date('2026-01-02T03:04:05.600Z'),
  machine: { total: 9_300_000_000_000_000_001n, onlineCpus: 2 },
  cgroup: {
    cpu: { total: 30n, user: 10n, kernel: 20n, perCpu: [14n, 16n], throttling },
    memory: { usage: 7n, maxUsage: 8n, failures: 0n, limit: 9223372036854771712n, stat: new Map([['cache', 5n]]) },
    pids: { current: 2n, limit: 'max' },
    blockIO: { version: 1, serviceBytes: [{ major: 8, minor: 0, op: 'Read', value: 4n }], serviced: [] },
  },
  processes: [],
  interfaces: [
    { name: 'eth0', rxBytes: 1n, rxPackets: 2n, rxErrors: 3n, rxDropped: 4n, txBytes: 5n, txPackets: 6n, txErrors: 7n, txDropped: 8n },
  ],
};

const v2: UsageSample = {
  ...v1,
  cgroup: {
    cpu: { ...v1.cgroup.cpu, perCpu: null },
    memory: { usage: 7n, maxUsage: null, failures: 3n, limit: 100n, stat: new Map([['workingset_refault_file', 5n]]) },
    pids: { current: 2n, limit: 'max' },
    blockIO: { version: 2, serviceBytes: [], serviced: [] },
  },
  interfaces: [],
};

const jsonOf = (sample: UsageSample | null, previous: UsageSample | null = null) =>
  JSON.parse(statsLine({ id, name: 'n', sample, previous, gpus: [] })) as Record<string, Record<string, unknown>>;

test('statsLine: v1, with exact counters', () => {
  assert.match(statsLine({ id, name: 'n', sample: v1, previous: null, gpus: [] }), /"system_cpu_usage":9300000000000000001,/);
  const json = jsonOf(v1);
  assert.equal(json.read, '2026-01-02T03:04:05.6Z');
  assert.equal(json.preread, '0001-01-01T00:00:00Z');
  assert.deepEqual(json.pids_stats, { current: 2 });
  assert.deepEqual(json.cpu_stats?.cpu_usage, {
    total_usage: 30,
    percpu_usage: [14, 16],
    usage_in_kernelmode: 20,
    usage_in_usermode: 10,
  });
  assert.deepEqual(json.cpu_stats?.throttling_data, { periods: 1, throttled_periods: 2, throttled_time: 3 });
  assert.deepEqual(json.precpu_stats, {
    cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
    throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
  });
  // No limit is all that the machine has.
  assert.equal(json.memory_stats?.limit, totalmem());
  assert.equal(Object.keys(json.memory_stats?.stats as object).length, 32);
  assert.equal('failcnt' in (json.memory_stats ?? {}), false);
  assert.deepEqual(json.blkio_stats?.io_service_bytes_recursive, [{ major: 8, minor: 0, op: 'Read', value: 4 }]);
  assert.deepEqual(json.blkio_stats?.io_queue_recursive, []);
  const counters = { rx_bytes: 1, rx_packets: 2, rx_errors: 3, rx_dropped: 4, tx_bytes: 5, tx_packets: 6, tx_errors: 7, tx_dropped: 8 };
  assert.deepEqual(json.networks, { eth0: counters });
});

test('statsLine: v2 has no maximum and no processors, its own names, and says 2^64-1 for no limit of processes', () => {
  const json = jsonOf(v2, v1);
  assert.match(statsLine({ id, name: 'n', sample: v2, previous: v1, gpus: [] }), /"limit":18446744073709551615\}/);
  assert.equal(json.preread, '2026-01-02T03:04:05.6Z');
  assert.deepEqual(json.cpu_stats?.cpu_usage, { total_usage: 30, usage_in_kernelmode: 20, usage_in_usermode: 10 });
  assert.equal(json.memory_stats?.failcnt, 3);
  assert.equal('max_usage' in (json.memory_stats ?? {}), false);
  assert.equal((json.memory_stats?.stats as Record<string, number> | undefined)?.workingset_refault, 5);
  assert.deepEqual([json.blkio_stats?.io_service_bytes_recursive, json.blkio_stats?.io_queue_recursive], [null, null]);
  assert.equal('networks' in json, false);
});

test('statsLine: what does not run is all zeros', () => {
  const json = jsonOf(null);
  assert.equal(json.read, '0001-01-01T00:00:00Z');
  assert.deepEqual([json.pids_stats, json.memory_stats, json.storage_stats, json.num_procs], [{}, {}, {}, 0]);
  assert.equal(json.blkio_stats?.io_service_bytes_recursive, null);
  assert.deepEqual([json.name, json.id], ['/n', id]);
});

test('statsLine: the GPUs that a container holds, and nothing of them for one that holds none', () => {
  assert.equal('gpu_stats' in jsonOf(v1), false);
  const known = { uuid: 'GPU-a', index: 0, memoryUsedBytes: 5, memoryTotalBytes: 8, utilizationPercent: 37 };
  const unknown = { uuid: 'GPU-b', index: null, memoryUsedBytes: null, memoryTotalBytes: null, utilizationPercent: null };
  const line = JSON.parse(statsLine({ id, name: 'n', sample: v1, previous: null, gpus: [known, unknown] })) as { gpu_stats: unknown };
  assert.deepEqual(line.gpu_stats, [
    { uuid: 'GPU-a', index: 0, memory_used: 5, memory_total: 8, utilization: 37 },
    { uuid: 'GPU-b', index: null, memory_used: null, memory_total: null, utilization: null },
  ]);
});
