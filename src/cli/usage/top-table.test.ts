import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerUsageAnswer, UsageTableAnswer } from '../../client/usage-table-types.ts';
import { topTable } from './top-table.ts';

const process = (pid: number, cpu: number) => ({ Pid: pid, Uid: 0, Name: `p${pid}`, State: 'S', CPU: cpu, Memory: 2 ** 20 });
const container = (name: string, cpu: number, system: number, more: Partial<ContainerUsageAnswer> = {}): ContainerUsageAnswer => ({
  ...{ Id: name, Name: name, Paused: false, CPU: cpu, SystemCPU: system, OnlineCPUs: 2, Memory: 2 ** 20, MemoryLimit: 2 ** 30 },
  Processes: [],
  ...more,
});
const table = (read: string, ...containers: readonly ContainerUsageAnswer[]): UsageTableAnswer => ({
  Read: read,
  MemTotal: 2 ** 30,
  Containers: containers,
});

test('topTable: the busiest first, measured between two answers', () => {
  const before = table(
    '2026-01-01T00:00:00Z',
    container('idle', 100, 1e9, { Processes: [process(1, 5e9)] }),
    container('busy', 100, 1e9, { Processes: [process(2, 0)] }),
  );
  const now = table(
    '2026-01-01T00:00:01Z',
    container('idle', 100, 3e9, { Processes: [process(1, 5e9)], Paused: true }),
    container('busy', 5e8 + 100, 3e9, { Processes: [process(2, 5e8), process(3, 1e9)] }),
  );
  assert.equal(
    topTable(before, now),
    `2 running, 3 processes, 50.00% of a processor, 2MiB of 1GiB

CONTAINER       CPU %     MEM USAGE / LIMIT   PIDS
busy            50.00%    1MiB / 1GiB         2
idle (paused)   0.00%     1MiB / 1GiB         1

PID       CONTAINER   UID       STATE     CPU %     MEM       TIME      COMMAND
2         busy        0         S         50.00%    1MiB      0:00      p2
3         busy        0         S         0.00%     1MiB      0:01      p3
1         idle        0         S         0.00%     1MiB      0:05      p1
`,
  );
});

test('topTable: the first answer has nothing to be compared with', () => {
  assert.match(topTable(null, table('2026-01-01T00:00:00Z', container('a', 1e9, 2e9))), /^1 running, 0 processes, 0\.00% of a processor/);
});

test('topTable: GPUs, when a container holds some', () => {
  const gpus = [
    { Uuid: 'GPU-a', Index: 0, Memory: 2 ** 30, MemoryTotal: 2 ** 33, Utilization: 60 },
    { Uuid: 'GPU-b', Index: 1, Memory: 0, MemoryTotal: 2 ** 33, Utilization: 55 },
  ];
  const trains = { ...process(2, 0), GPUMemory: 2 ** 30, GPUUtilization: 60 };
  const silent = [{ Uuid: 'GPU-c', Index: null, Memory: null, MemoryTotal: null, Utilization: null }];
  const now = table(
    '2026-01-01T00:00:01Z',
    container('train', 0, 0, { Memory: 3 * 2 ** 20, GPUs: gpus, Processes: [trains, { ...process(3, 0), GPUMemory: null }] }),
    container('lost', 0, 0, { Memory: 2 * 2 ** 20, GPUs: silent }),
    container('web', 0, 0),
  );
  assert.equal(
    topTable(null, now),
    `3 running, 2 processes, 0.00% of a processor, 6MiB of 1GiB

CONTAINER   CPU %     MEM USAGE / LIMIT   GPU %     GPU MEM        PIDS
train       0.00%     3MiB / 1GiB         115.00%   1GiB / 16GiB   2
lost        0.00%     2MiB / 1GiB         --        --             0
web         0.00%     1MiB / 1GiB         --        --             0

PID       CONTAINER   UID       STATE     CPU %     MEM       TIME      GPU %     GPU MEM   COMMAND
2         train       0         S         0.00%     1MiB      0:00      60.00%    1GiB      p2
3         train       0         S         0.00%     1MiB      0:00      --        --        p3
`,
  );
});
