/** What `stats` shows of one answer, computed as Docker's command line computes it. Pure. */
import type { CpuStats, StatsAnswer } from '../../client/usage-types.ts';

export interface UsageFigures {
  readonly cpuPercent: number;
  /** Bytes, without what the kernel could give back at once. */
  readonly memory: number;
  readonly memoryLimit: number;
  readonly memoryPercent: number;
  readonly received: number;
  readonly sent: number;
  readonly blockRead: number;
  readonly blockWritten: number;
  readonly pids: number;
}

export function usageFigures(stats: StatsAnswer): UsageFigures {
  const memory = memoryInUse(stats.memory_stats ?? {});
  const memoryLimit = stats.memory_stats?.limit ?? 0;
  const interfaces = Object.values(stats.networks ?? {});
  const blocks = stats.blkio_stats?.io_service_bytes_recursive ?? [];
  const blockSum = (letter: string): number =>
    sum(blocks.filter(({ op }) => op.toLowerCase().startsWith(letter)).map(({ value }) => value));
  return {
    cpuPercent: cpuPercent(stats.precpu_stats ?? {}, stats.cpu_stats ?? {}),
    memory,
    memoryLimit,
    memoryPercent: memoryLimit === 0 ? 0 : (memory / memoryLimit) * 100,
    received: sum(interfaces.map(({ rx_bytes }) => rx_bytes)),
    sent: sum(interfaces.map(({ tx_bytes }) => tx_bytes)),
    blockRead: blockSum('r'),
    blockWritten: blockSum('w'),
    pids: stats.pids_stats?.current ?? 0,
  };
}

/** Of one processor: 200 is two of them busy. */
export function cpuPercent(before: CpuStats, now: CpuStats): number {
  const used = (now.cpu_usage?.total_usage ?? 0) - (before.cpu_usage?.total_usage ?? 0);
  const passed = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const cpus = now.online_cpus || (now.cpu_usage?.percpu_usage?.length ?? 0);
  return used > 0 && passed > 0 ? (used / passed) * cpus * 100 : 0;
}

/** File pages that were not touched lately do not count: `total_inactive_file` in cgroup v1, `inactive_file` in v2. */
function memoryInUse({ usage = 0, stats = {} }: NonNullable<StatsAnswer['memory_stats']>): number {
  const cache = stats.total_inactive_file ?? stats.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
