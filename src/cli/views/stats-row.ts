/** One line of `stats`, as templates see it. */
import { shortId } from '../format/ellipsis.ts';
import { binarySize, humanSize } from '../format/size-text.ts';
import { Struct } from '../template/go-value.ts';
import { usageFigures } from '../usage/usage-figures.ts';
import type { WatchedContainer } from '../usage/usage-watch.ts';

export const statsTable = '{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}';

export const statsHeaders: Readonly<Record<string, string>> = {
  ID: 'CONTAINER ID', Container: 'CONTAINER', Name: 'NAME', CPUPerc: 'CPU %', MemUsage: 'MEM USAGE / LIMIT', MemPerc: 'MEM %', NetIO: 'NET I/O', BlockIO: 'BLOCK I/O', PIDs: 'PIDS',
}; // biome-ignore format: a table

const unknown = '--';

export function statsRow({ name, latest }: WatchedContainer, truncate: boolean): Struct {
  return new Struct('*formatter.StatsContext', latest === null ? unknownFields(name) : knownFields(name, latest, truncate), {
    sorted: true,
  });
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
