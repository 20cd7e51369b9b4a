import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatsAnswer } from '../../client/usage-types.ts';
import { executeTemplate } from '../template/evaluate.ts';
import { templateFunctions } from '../template/functions.ts';
import { parseTemplate } from '../template/parser.ts';
import { statsRow, statsTable } from '../views/stats-row.ts';
import { cpuPercent, usageFigures } from './usage-figures.ts';

const cpu = (total: number, system: number, cpus?: number) => ({
  cpu_usage: { total_usage: total },
  system_cpu_usage: system,
  ...(cpus === undefined ? {} : { online_cpus: cpus }),
});

const answer: StatsAnswer = {
  id: 'abcdef0123456789',
  name: '/web',
  read: '2026-01-01T00:00:01Z',
  precpu_stats: cpu(1000, 10_000),
  cpu_stats: cpu(1500, 12_000, 2),
  memory_stats: { usage: 2 ** 21, limit: 2 ** 26, stats: { total_inactive_file: 2 ** 20 } },
  pids_stats: { current: 3 },
  networks: { eth0: { rx_bytes: 1000, tx_bytes: 10 }, eth1: { rx_bytes: 500, tx_bytes: 0 } },
  blkio_stats: {
    io_service_bytes_recursive: [
      { op: 'Read', value: 1000 },
      { op: 'write', value: 2000 },
      { op: 'Total', value: 3000 },
    ],
  },
};

test('cpuPercent: of one processor, zero when nothing passed', () => {
  assert.equal(cpuPercent(cpu(1000, 10_000), cpu(1500, 12_000, 2)), 50);
  assert.equal(cpuPercent({}, cpu(1500, 12_000, 2)), 25);
  assert.equal(cpuPercent(cpu(10, 10), cpu(10, 20, 2)), 0);
  assert.equal(cpuPercent({}, { ...cpu(5, 10), cpu_usage: { total_usage: 5, percpu_usage: [2, 3] } }), 100);
});

test('usageFigures: memory without inactive file pages of v1 and v2, sums of interfaces and blocks', () => {
  const figures = usageFigures(answer);
  assert.deepEqual(
    [figures.memory, figures.memoryPercent, figures.received, figures.sent, figures.blockRead, figures.blockWritten, figures.pids],
    [2 ** 20, 1.5625, 1500, 10, 1000, 2000, 3],
  );
  assert.equal(usageFigures({ ...answer, memory_stats: { usage: 10, limit: 100, stats: { inactive_file: 4 } } }).memory, 6);
  assert.equal(usageFigures({ ...answer, memory_stats: { usage: 3, limit: 100, stats: { inactive_file: 4 } } }).memory, 3);
  assert.equal(usageFigures({ ...answer, memory_stats: {} }).memoryPercent, 0);
});

test('statsRow: the texts of Docker, and dashes before the first answer', () => {
  const text = (row: ReturnType<typeof statsRow>) =>
    executeTemplate(
      parseTemplate('{{.ID}} {{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}', new Set()),
      row,
      templateFunctions,
    );
  assert.equal(
    text(statsRow({ name: 'web', latest: answer, error: null }, true)),
    'abcdef012345 web 50.00% 1MiB / 64MiB 1.56% 1.5kB / 10B 1kB / 2kB 3',
  );
  assert.equal(text(statsRow({ name: 'web', latest: null, error: null }, true)), '-- -- -- -- / -- -- -- -- --');
});

test('statsRow: GPUs of those that hold some; the rows of others are as Docker writes them', () => {
  const text = (row: ReturnType<typeof statsRow>, template: string) =>
    executeTemplate(parseTemplate(template, new Set(['json'])), row, templateFunctions);
  const gpu = { uuid: 'GPU-a', index: 0, memory_used: 2 ** 30, memory_total: 2 ** 33, utilization: 37 };
  const unknown = { uuid: 'GPU-b', index: null, memory_used: null, memory_total: null, utilization: null };
  const watched = (gpus?: StatsAnswer['gpu_stats']) => ({
    name: 'web',
    latest: gpus === undefined ? answer : { ...answer, gpu_stats: gpus },
    error: null,
  });
  const row = (gpus?: StatsAnswer['gpu_stats']) => statsRow(watched(gpus), true);
  const figures = '{{.GPUPerc}} {{.GPUMem}}';
  assert.equal(text(row([gpu]), figures), '37.00% 1GiB / 8GiB');
  assert.equal(text(row([gpu, unknown]), figures), '37.00% 1GiB / 8GiB');
  assert.equal(text(row([unknown]), figures), '-- --');
  assert.equal(text(row(), figures), '-- --');
  assert.match(text(row([gpu]), '{{json .}}'), /"GPUMem":"1GiB \/ 8GiB","GPUPerc":"37\.00%"/);
  assert.doesNotMatch(text(row(), '{{json .}}'), /GPU/);
  assert.doesNotMatch(statsTable([watched()]), /GPU/);
  assert.match(statsTable([watched(), watched([gpu])]), /MemPerc}}\t{{\.GPUPerc}}\t{{\.GPUMem}}\t{{\.NetIO/);
});
