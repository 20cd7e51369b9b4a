/** What a container uses of the GPUs that it holds, all of them together, as `stats` and `top` show it. Pure. */
import { binarySize } from '../format/size-text.ts';

/** Of one GPU; null: not known. */
export interface GpuFigures {
  readonly utilization: number | null;
  readonly memory: number | null;
  readonly memoryTotal: number | null;
}

export const unknownFigure = '--';

/** As of processors: 200 is two of them busy. */
export function gpuPercent(gpus: readonly Pick<GpuFigures, 'utilization'>[]): string {
  const sum = knownSum(gpus.map(({ utilization }) => utilization));
  return sum === null ? unknownFigure : `${sum.toFixed(2)}%`;
}

export function gpuMemory(gpus: readonly GpuFigures[]): string {
  const [used, total] = [knownSum(gpus.map(({ memory }) => memory)), knownSum(gpus.map(({ memoryTotal }) => memoryTotal))];
  if (used === null) return unknownFigure;
  return total === null ? binarySize(used) : `${binarySize(used)} / ${binarySize(total)}`;
}

function knownSum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
