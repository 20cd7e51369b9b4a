/** What a container uses of the GPUs that it holds, out of what all GPUs do (NVML): its processes are those of its cgroup. Pure. Only NVIDIA's GPUs tell. */
import type { HeldDevice } from '../devices/devices.ts';
import type { GpuProcess, GpuUsage } from '../devices/nvml/gpu-readings.ts';

/** Of one GPU, or one part of a divided GPU, that it holds. Null: not known. A GPU that it does not use counts 0. */
export interface GpuShare {
  /** `GPU-…`, `MIG-…`; the name under which it is held where that is all that is known. */
  readonly uuid: string;
  /** Of the whole GPU. */
  readonly index: number | null;
  readonly memoryUsedBytes: number | null;
  readonly memoryTotalBytes: number | null;
  /** 0-100, of this GPU. */
  readonly utilizationPercent: number | null;
}

/** What one process uses of all GPUs together. */
export interface ProcessGpuUse {
  readonly memoryBytes: number | null;
  readonly utilizationPercent: number | null;
}

const kind = 'nvidia.com/gpu=';

export function gpusOf(held: readonly HeldDevice[]): readonly string[] {
  return held.flatMap(({ device }) => (device.startsWith(kind) ? [device.slice(kind.length)] : []));
}

/** `usage` null: nobody knows what GPUs do. */
export function gpuShares(names: readonly string[], pids: ReadonlySet<number>, usage: readonly GpuUsage[] | null): readonly GpuShare[] {
  const shares = names.flatMap((name) => {
    const found = (usage ?? []).flatMap((gpu) => unitsNamed(gpu, name));
    return found.length === 0 ? [unknownShare(name)] : found.map((unit) => shareOf(unit, pids));
  });
  return shares.filter(({ uuid }, index) => shares.findIndex((share) => share.uuid === uuid) === index);
}

export function processGpuUses(pids: ReadonlySet<number>, usage: readonly GpuUsage[] | null): ReadonlyMap<number, ProcessGpuUse> {
  const own = (usage ?? []).flatMap(({ processes }) => processes.filter(({ pid }) => pids.has(pid)));
  return new Map(
    [...Map.groupBy(own, ({ pid }) => pid)].map(([pid, uses]) => [
      pid,
      { memoryBytes: knownSum(uses.map(({ memoryBytes }) => memoryBytes)), utilizationPercent: knownSum(uses.map(utilizationOf)) },
    ]),
  );
}

interface Unit extends Pick<GpuShare, 'uuid' | 'index' | 'memoryTotalBytes'> {
  /** Those that use it. */
  readonly processes: readonly GpuProcess[];
  readonly utilizationPercent: number | null;
}

/** By UUID, by index (`0`, parts `0:1`), or all. */
function unitsNamed(gpu: GpuUsage, name: string): readonly Unit[] {
  if (name === gpu.uuid || name === String(gpu.index) || name === 'all') return [gpu];
  return gpu.parts
    .filter(({ uuid, index }) => name === uuid || name === `${gpu.index}:${index}`)
    .map(({ uuid, memoryTotalBytes }) => ({
      uuid,
      index: gpu.index,
      memoryTotalBytes,
      processes: gpu.processes.filter(({ part }) => part === uuid),
      // Of a divided GPU only the whole is measured.
      utilizationPercent: null,
    }));
}

function shareOf({ uuid, index, memoryTotalBytes, processes, utilizationPercent }: Unit, pids: ReadonlySet<number>): GpuShare {
  const own = processes.filter(({ pid }) => pids.has(pid));
  const measured = knownSum(own.map(utilizationOf));
  const isAlone = own.length === processes.length;
  return {
    uuid,
    index,
    memoryTotalBytes,
    memoryUsedBytes: knownSum(own.map(({ memoryBytes }) => memoryBytes)),
    // Where processes are not measured one by one, the GPU's own figure is that of its only user.
    utilizationPercent: measured !== null ? Math.min(100, measured) : isAlone ? utilizationPercent : null,
  };
}

function unknownShare(name: string): GpuShare {
  return { uuid: name, index: null, memoryUsedBytes: null, memoryTotalBytes: null, utilizationPercent: null };
}

const utilizationOf = ({ utilizationPercent }: GpuProcess): number | null => utilizationPercent;

/** Of none it is 0; of some that are known, theirs; null where none is. */
function knownSum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 && values.length > 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
