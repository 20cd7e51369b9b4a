/**
 * A container's usage as `GET /containers/ID/stats` shows it, in Docker's names for cgroup v1 and v2. Counters leave exactly: they are 64 bits wide, and sums of
 * nanoseconds pass 2^53 within days.
 */
import { totalmem } from 'node:os';
import type { BlockEntry, ContainerStats, GpuShare, InterfaceCounters, UsageSample } from '../containers/containers.ts';
import { formatTime, zeroTime } from '../wire/timestamps.ts';

/** One line of JSON. */
export function statsLine(stats: ContainerStats): string {
  const { sample, previous, id, name, gpus } = stats;
  const value = {
    read: sample === null ? zeroTime : formatTime(sample.at),
    preread: previous === null ? zeroTime : formatTime(previous.at),
    pids_stats: sample === null ? {} : pidsJson(sample),
    blkio_stats: blockJson(sample),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuJson(sample),
    precpu_stats: cpuJson(previous),
    memory_stats: sample === null ? {} : memoryJson(sample),
    name: `/${name}`,
    id,
    ...networksJson(sample),
    // Beyond Docker, whose clients read past it.
    ...(gpus.length === 0 ? {} : { gpu_stats: gpus.map(gpuJson) }),
  };
  return `${JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? rawJSON(String(field)) : field))}\n`;
}

/** TypeScript's library does not know it yet. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** What Go writes for "no limit" of v2. */
const unlimited = 2n ** 64n - 1n;

function pidsJson({ cgroup: { pids, blockIO } }: UsageSample): object {
  if (pids === null) return {};
  const limit = pids.limit !== 'max' ? pids.limit : blockIO?.version === 2 ? unlimited : 0n;
  return { ...nonZero('current', pids.current), ...nonZero('limit', limit) };
}

function cpuJson(sample: UsageSample | null): object {
  if (sample === null) {
    return {
      cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
      throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
    };
  }
  const { total, perCpu, kernel, user, throttling } = sample.cgroup.cpu;
  return {
    cpu_usage: {
      total_usage: total,
      ...(perCpu === null || perCpu.length === 0 ? {} : { percpu_usage: perCpu }),
      usage_in_kernelmode: kernel,
      usage_in_usermode: user,
    },
    system_cpu_usage: sample.machine.total,
    online_cpus: sample.machine.onlineCpus,
    throttling_data: {
      periods: throttling.periods,
      throttled_periods: throttling.throttledPeriods,
      throttled_time: throttling.throttledTime,
    },
  };
}

const perPageNames = ['active_anon', 'active_file', 'cache', 'dirty', 'inactive_anon', 'inactive_file', 'mapped_file', 'pgfault'];
const perFaultNames = ['pgmajfault', 'pgpgin', 'pgpgout', 'rss', 'rss_huge', 'unevictable', 'writeback'];
const namesOfV1 = [
  ...['hierarchical_memory_limit', 'hierarchical_memsw_limit'],
  ...[...perPageNames, ...perFaultNames].flatMap((name) => [name, `total_${name}`]),
].sort();

const namesOfV2 = [
  ...['active_anon', 'active_file', 'anon', 'anon_thp', 'file', 'file_dirty', 'file_mapped', 'file_writeback', 'inactive_anon'],
  ...['inactive_file', 'kernel_stack', 'pgactivate', 'pgdeactivate', 'pgfault', 'pglazyfree', 'pglazyfreed', 'pgmajfault', 'pgrefill'],
  ...['pgscan', 'pgsteal', 'shmem', 'slab', 'slab_reclaimable', 'slab_unreclaimable', 'sock', 'thp_collapse_alloc', 'thp_fault_alloc'],
  ...['unevictable', 'workingset_activate', 'workingset_nodereclaim', 'workingset_refault'],
];

function memoryJson({ cgroup: { memory } }: UsageSample): object {
  if (memory === null) return {};
  const { stat } = memory;
  const isV2 = memory.maxUsage === null;
  const value = (name: string): bigint => stat.get(name) ?? (isV2 ? splitSince510(stat, name) : 0n);
  const machine = BigInt(totalmem());
  return {
    ...nonZero('usage', memory.usage),
    ...nonZero('max_usage', memory.maxUsage ?? 0n),
    stats: Object.fromEntries((isV2 ? namesOfV2 : namesOfV1).map((name) => [name, value(name)])),
    ...nonZero('failcnt', memory.failures),
    limit: memory.limit === 'max' || memory.limit > machine ? machine : memory.limit,
  };
}

/** Newer kernels tell `workingset_refault_anon` and `_file` apart; Docker's name is the sum. */
function splitSince510(stat: ReadonlyMap<string, bigint>, name: string): bigint {
  return (stat.get(`${name}_anon`) ?? 0n) + (stat.get(`${name}_file`) ?? 0n);
}

/** Of the lists only the first two are filled by kernels since 5.0; v2 has the first. */
function blockJson(sample: UsageSample | null): object {
  const block = sample?.cgroup.blockIO ?? null;
  const rest = block?.version === 1 ? [] : null;
  return {
    io_service_bytes_recursive: block === null ? null : entries(block.serviceBytes, block.version),
    io_serviced_recursive: block?.version === 1 ? entries(block.serviced, 1) : null,
    io_queue_recursive: rest,
    io_service_time_recursive: rest,
    io_wait_time_recursive: rest,
    io_merged_recursive: rest,
    io_time_recursive: rest,
    sectors_recursive: rest,
  };
}

function entries(list: readonly BlockEntry[], version: 1 | 2): readonly object[] | null {
  return list.length === 0 && version === 2 ? null : list.map(({ major, minor, op, value }) => ({ major, minor, op, value }));
}

function networksJson(sample: UsageSample | null): object {
  if (sample === null || sample.interfaces.length === 0) return {};
  return { networks: Object.fromEntries(sample.interfaces.map((counters) => [counters.name, interfaceJson(counters)])) };
}

function interfaceJson(counters: InterfaceCounters): object {
  return {
    rx_bytes: counters.rxBytes,
    rx_packets: counters.rxPackets,
    rx_errors: counters.rxErrors,
    rx_dropped: counters.rxDropped,
    tx_bytes: counters.txBytes,
    tx_packets: counters.txPackets,
    tx_errors: counters.txErrors,
    tx_dropped: counters.txDropped,
  };
}

function gpuJson({ uuid, index, memoryUsedBytes, memoryTotalBytes, utilizationPercent }: GpuShare): object {
  return { uuid, index, memory_used: memoryUsedBytes, memory_total: memoryTotalBytes, utilization: utilizationPercent };
}

function nonZero(name: string, value: bigint): object {
  return value === 0n ? {} : { [name]: value };
}
