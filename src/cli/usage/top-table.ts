/** The live table of `gantry top`: containers, then their processes, the busiest first. Pure: from two answers that follow each other. */
import type { ContainerUsageAnswer, GpuUsageAnswer, ProcessUsageAnswer, UsageTableAnswer } from '../../client/usage-table-types.ts';
import { binarySize } from '../format/size-text.ts';
import { alignColumns } from '../format/tab-writer.ts';
import { percent } from '../views/stats-row.ts';
import { type GpuFigures, gpuMemory, gpuPercent } from './gpu-figures.ts';

interface Measured<T> {
  readonly entry: T;
  /** Of one processor. */
  readonly cpu: number;
}

export function topTable(before: UsageTableAnswer | null, now: UsageTableAnswer): string {
  const containers = measureContainers(before, now);
  const processes = containers.flatMap(({ entry }) => measureProcesses(before, now, entry));
  const used = containers.reduce((sum, { cpu }) => sum + cpu, 0);
  const memory = containers.reduce((sum, { entry }) => sum + entry.Memory, 0);
  const summary = `${containers.length} running, ${processes.length} processes, ${percent(used)} of a processor, ${binarySize(memory)} of ${binarySize(now.MemTotal)}`;
  const holdsSome = now.Containers.some(({ GPUs: gpus }) => gpus !== undefined);
  const ifGpus = (...cells: readonly string[]): readonly string[] => (holdsSome ? cells : []);
  const containerLines = containers.map(({ entry, cpu }) =>
    [
      entry.Name + (entry.Paused ? ' (paused)' : ''),
      percent(cpu),
      sizes(entry),
      ...ifGpus(...gpuCells((entry.GPUs ?? []).map(figuresOf))),
      String(entry.Processes.length),
    ].join('\t'),
  );
  const processLines = processes
    .sort((a, b) => b.cpu - a.cpu || b.entry.process.Memory - a.entry.process.Memory)
    .map(({ entry: { container, process }, cpu }) =>
      [
        process.Pid,
        container.Name,
        process.Uid,
        process.State,
        percent(cpu),
        binarySize(process.Memory),
        timeText(process.CPU),
        ...ifGpus(...gpuCells(processFigures(process))),
        process.Name,
      ].join('\t'),
    );
  const tables = [
    [['CONTAINER', 'CPU %', 'MEM USAGE / LIMIT', ...ifGpus('GPU %', 'GPU MEM'), 'PIDS'].join('\t'), ...containerLines],
    [['PID', 'CONTAINER', 'UID', 'STATE', 'CPU %', 'MEM', 'TIME', ...ifGpus('GPU %', 'GPU MEM'), 'COMMAND'].join('\t'), ...processLines],
  ];
  return `${summary}\n\n${tables.map((lines) => alignColumns(`${lines.join('\n')}\n`)).join('\n')}`;
}

function measureContainers(before: UsageTableAnswer | null, now: UsageTableAnswer): Measured<ContainerUsageAnswer>[] {
  const former = new Map((before?.Containers ?? []).map((container) => [container.Id, container]));
  return now.Containers.map((entry) => {
    const old = former.get(entry.Id);
    const passed = old === undefined ? 0 : entry.SystemCPU - old.SystemCPU;
    const used = old === undefined ? 0 : Math.max(0, entry.CPU - old.CPU);
    return { entry, cpu: passed > 0 ? (used / passed) * entry.OnlineCPUs * 100 : 0 };
  }).sort((a, b) => b.cpu - a.cpu || b.entry.Memory - a.entry.Memory);
}

interface Owned {
  readonly container: ContainerUsageAnswer;
  readonly process: ProcessUsageAnswer;
}

function measureProcesses(before: UsageTableAnswer | null, now: UsageTableAnswer, container: ContainerUsageAnswer): Measured<Owned>[] {
  const old = before?.Containers.find(({ Id }) => Id === container.Id);
  const former = new Map((old?.Processes ?? []).map((process) => [process.Pid, process]));
  const passedNs = before === null ? 0 : (Date.parse(now.Read) - Date.parse(before.Read)) * 1e6;
  return container.Processes.map((process) => {
    const used = process.CPU - (former.get(process.Pid)?.CPU ?? process.CPU);
    return { entry: { container, process }, cpu: passedNs > 0 && used > 0 ? (used / passedNs) * 100 : 0 };
  });
}

function gpuCells(figures: readonly GpuFigures[]): readonly string[] {
  return [gpuPercent(figures), gpuMemory(figures)];
}

function figuresOf({ Utilization, Memory, MemoryTotal }: GpuUsageAnswer): GpuFigures {
  return { utilization: Utilization, memory: Memory, memoryTotal: MemoryTotal };
}

function processFigures({ GPUUtilization, GPUMemory }: ProcessUsageAnswer): readonly GpuFigures[] {
  if (GPUMemory === undefined && GPUUtilization === undefined) return [];
  return [{ utilization: GPUUtilization ?? null, memory: GPUMemory ?? null, memoryTotal: null }];
}

function sizes({ Memory, MemoryLimit }: ContainerUsageAnswer): string {
  return `${binarySize(Memory)} / ${binarySize(MemoryLimit)}`;
}

/** `0:07`, `12:03`, `3:04:05`. */
function timeText(nanoseconds: number): string {
  const seconds = Math.floor(nanoseconds / 1e9);
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, String(seconds % 60).padStart(2, '0')];
  return hours === 0 ? `${minutes}:${rest}` : `${hours}:${String(minutes).padStart(2, '0')}:${rest}`;
}
