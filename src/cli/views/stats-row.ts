/** One line of `stats`, as templates see it. */
import type { GpuStats } from '../../client/usage-types.ts';
import { shortId } from '../format/ellipsis.ts';
import { binarySize, humanSize } from '../format/size-text.ts';
import { Struct } from '../template/go-value.ts';
import { gpuMemory, gpuPercent, unknownFigure } from '../usage/gpu-figures.ts';
import { usageFigures } from '../usage/usage-figures.ts';
import type { WatchedContainer } from '../usage/usage-watch.ts';

const processorsAndMemory = '{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}';
const gpus = '{{.GPUPerc}}\t{{.GPUMem}}';
const inputAndOutput = '{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}';

/** Docker's; beyond it with GPUs, when a container holds some. */
export function statsTable(containers: readonly WatchedContainer[]): string {
  const holdsSome = containers.some(({ latest }) => latest?.gpu_stats !== undefined);
  return [processorsAndMemory, ...(holdsSome ? [gpus] : []), inputAndOutput].join('\t');
}

export const statsHeaders: Readonly<Record<string, string>> = {
  ID: 'CONTAINER ID', Container: 'CONTAINER', Name: 'NAME', CPUPerc: 'CPU %', MemUsage: 'MEM USAGE / LIMIT', MemPerc: 'MEM %', NetIO: 'NET I/O', BlockIO: 'BLOCK I/O', PIDs: 'PIDS', GPUPerc: 'GPU %', GPUMem: 'GPU MEM',
}; // biome-ignore format: a table

const unknown = unknownFigure;

export function statsRow({ name, latest }: WatchedContainer, truncate: boolean): Struct {
  const fields = latest === null ? unknownFields(name) : knownFields(name, latest, truncate);
  const gpuFields = gpuFieldsOf(latest?.gpu_stats ?? []);
  // As JSON, a row without GPUs is exactly Docker's.
  const options = latest?.gpu_stats === undefined ? { sorted: true, unlisted: gpuFields } : { sorted: true };
  return new Struct('*formatter.StatsContext', 'unlisted' in options ? fields : { ...fields, ...gpuFields }, options);
}

function gpuFieldsOf(held: readonly GpuStats[]) {
  const figures = held.map(({ utilization, memory_used: memory, memory_total: memoryTotal }) => ({ utilization, memory, memoryTotal }));
  return { GPUPerc: gpuPercent(figures), GPUMem: gpuMemory(figures) };
}

function knownFields(name: string, latest: NonNullable<WatchedContainer['latest']>, truncate: boolean) {
  const figures = usageFigures(latest);
  const size = (bytes: number): string => humanSize(bytes, 3);
  return {
    BlockIO: `${size(figures.blockRead)} / ${size(figures.blockWritten)}`,
    CPUPerc: percent(figures.cpuPercent),
    Container: name,
    ID: truncate ? shortId(latest.id) : latest.id,
    MemPerc: percent(figures.memoryPercent),
    MemUsage: `${binarySize(figures.memory)} / ${binarySize(figures.memoryLimit)}`,
    Name: latest.name.replace(/^\//, '') || unknown,
    NetIO: `${size(figures.received)} / ${size(figures.sent)}`,
    PIDs: String(figures.pids),
  };
}

function unknownFields(name: string) {
  const nothing = `${unknown} / ${unknown}`;
  return {
    BlockIO: unknown,
    CPUPerc: unknown,
    Container: name,
    ID: unknown,
    MemPerc: unknown,
    MemUsage: nothing,
    Name: unknown,
    NetIO: unknown,
    PIDs: unknown,
  };
}

export function percent(value: number): string {
  return `${value.toFixed(2)}%`;
}
