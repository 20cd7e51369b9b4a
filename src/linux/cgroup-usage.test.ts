import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CgroupHost } from './cgroup-host.ts';
import { readCgroupUsage } from './cgroup-usage.ts';
import { parseInterfaces, parseMachineCpu } from './machine-usage.ts';

const v1Host: CgroupHost = {
  mode: 'v1',
  v1: new Map(['cpu', 'cpuacct', 'memory', 'blkio', 'pids'].map((name) => [name, `/${name}`])),
  unified: null,
  unifiedControllers: new Set(),
};
const v2Host: CgroupHost = { mode: 'v2', v1: new Map(), unified: '/u', unifiedControllers: new Set(['cpu', 'memory', 'io', 'pids']) };

function usageOf(host: CgroupHost, files: Readonly<Record<string, string>>) {
  return readCgroupUsage('/c', { host, files: { read: (path) => files[path] ?? null } });
}

test('readCgroupUsage: v1', () => {
  const usage = usageOf(v1Host, {
    '/memory/c/cgroup.procs': '',
    '/cpuacct/c/cpuacct.usage': '190659657\n',
    '/cpuacct/c/cpuacct.usage_percpu': '57069348 133590309 \n',
    '/cpuacct/c/cpuacct.stat': 'user 4\nsystem 14\n',
    '/cpu/c/cpu.stat': 'nr_periods 5\nnr_throttled 2\nthrottled_time 77\n',
    '/memory/c/memory.usage_in_bytes': '9302016\n',
    '/memory/c/memory.max_usage_in_bytes': '10776576\n',
    '/memory/c/memory.failcnt': '3\n',
    '/memory/c/memory.limit_in_bytes': '9223372036854771712\n',
    '/memory/c/memory.stat': 'cache 8572928\ntotal_inactive_file 8388608\n',
    '/pids/c/pids.current': '2\n',
    '/pids/c/pids.max': 'max\n',
    '/blkio/c/blkio.throttle.io_service_bytes_recursive': '254:0 Read 184320\n254:0 Total 200000\nTotal 200000\n',
    '/blkio/c/blkio.throttle.io_serviced_recursive': 'Total 0\n',
  });
  assert.deepEqual(usage, {
    cpu: {
      total: 190659657n,
      user: 40_000_000n,
      kernel: 140_000_000n,
      perCpu: [57069348n, 133590309n],
      throttling: { periods: 5n, throttledPeriods: 2n, throttledTime: 77n },
    },
    memory: {
      usage: 9302016n,
      maxUsage: 10776576n,
      failures: 3n,
      // Beyond 2^53, and exact.
      limit: 9223372036854771712n,
      stat: new Map([
        ['cache', 8572928n],
        ['total_inactive_file', 8388608n],
      ]),
    },
    pids: { current: 2n, limit: 'max' },
    blockIO: {
      version: 1,
      serviceBytes: [
        { major: 254, minor: 0, op: 'Read', value: 184320n },
        { major: 254, minor: 0, op: 'Total', value: 200000n },
      ],
      serviced: [],
    },
  });
});

test('readCgroupUsage: v2', () => {
  const usage = usageOf(v2Host, {
    '/u/c/cgroup.procs': '',
    '/u/c/cpu.stat': 'usage_usec 500\nuser_usec 300\nsystem_usec 200\nnr_periods 5\nnr_throttled 2\nthrottled_usec 77\n',
    '/u/c/memory.current': '4096\n',
    '/u/c/memory.max': 'max\n',
    '/u/c/memory.events': 'low 0\noom 4\noom_kill 3\n',
    '/u/c/memory.stat': 'anon 1024\nfile 2048\n',
    '/u/c/pids.current': '1\n',
    '/u/c/pids.max': '50\n',
    '/u/c/io.stat': '254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n',
  });
  assert.equal(usage?.cpu.total, 500_000n);
  assert.deepEqual(usage.cpu.throttling, { periods: 5n, throttledPeriods: 2n, throttledTime: 77_000n });
  assert.equal(usage.cpu.perCpu, null);
  assert.equal(usage.memory?.failures, 4n);
  assert.equal(usage.memory?.limit, 'max');
  assert.deepEqual(usage.pids, { current: 1n, limit: 50n });
  assert.deepEqual(usage.blockIO?.serviceBytes, [
    { major: 254, minor: 0, op: 'read', value: 1n },
    { major: 254, minor: 0, op: 'write', value: 2n },
  ]);
});

test('readCgroupUsage: no such cgroup is null; a controller that the host lacks is null', () => {
  assert.equal(usageOf(v1Host, {}), null);
  const bare = usageOf({ ...v2Host, unifiedControllers: new Set() }, { '/u/c/cgroup.procs': '', '/u/c/cpu.stat': 'usage_usec 1\n' });
  assert.deepEqual([bare?.memory, bare?.pids, bare?.blockIO, bare?.cpu.total], [null, null, null, 1000n]);
});

test('parseMachineCpu: seven fields of the first line, processors counted', () => {
  const text = 'cpu  100 20 30 400 5 0 6 7 8 9\ncpu0 50 10 15 200 2 0 3 0 0 0\ncpu1 50 10 15 200 3 0 3 0 0 0\nintr 1\n';
  assert.deepEqual(parseMachineCpu(text), { total: 5_610_000_000n, onlineCpus: 2 });
});

test('parseInterfaces: also where no blank follows the colon', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0:806 9 1 2 0 0 0 0 70 3 4 5 0 0 0 0
`;
  const [lo, eth0] = parseInterfaces(text);
  assert.equal(lo?.name, 'lo');
  assert.deepEqual(eth0, {
    name: 'eth0',
    ...{ rxBytes: 806n, rxPackets: 9n, rxErrors: 1n, rxDropped: 2n },
    ...{ txBytes: 70n, txPackets: 3n, txErrors: 4n, txDropped: 5n },
  });
});
