/**
 * What a cgroup has used and may use, read from the files of v1 and v2 (kernel: Documentation/admin-guide/cgroup-v1, cgroup-v2.rst). Counters are 64 bits wide
 * and exact. What a host's version does not count is null. Synchronous: a file takes some ten microseconds, with many cgroups (`memory.stat`) milliseconds, so it
 * is called from a worker thread.
 */
import { type CgroupFiles, kernelFiles } from './cgroup-files.ts';
import { type CgroupHost, cgroupHost } from './cgroup-host.ts';
import { placementIn } from './cgroup-placement.ts';

export interface CgroupUsage {
  readonly cpu: CpuUsage;
  readonly memory: MemoryUsage | null;
  readonly pids: { readonly current: bigint; readonly limit: bigint | 'max' } | null;
  readonly blockIO: BlockUsage | null;
}

/** Nanoseconds. */
export interface CpuUsage {
  readonly total: bigint;
  readonly user: bigint;
  readonly kernel: bigint;
  /** Not counted by v2. */
  readonly perCpu: readonly bigint[] | null;
  readonly throttling: { readonly periods: bigint; readonly throttledPeriods: bigint; readonly throttledTime: bigint };
}

/** Bytes. */
export interface MemoryUsage {
  readonly usage: bigint;
  /** Not counted by v2 in a form that could be compared. */
  readonly maxUsage: bigint | null;
  readonly failures: bigint;
  readonly limit: bigint | 'max';
  /** `memory.stat`, whose names differ between the versions. */
  readonly stat: ReadonlyMap<string, bigint>;
}

export interface BlockUsage {
  readonly version: 1 | 2;
  readonly serviceBytes: readonly BlockEntry[];
  /** Empty on v2, which Docker does not show. */
  readonly serviced: readonly BlockEntry[];
}

export interface BlockEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: bigint;
}

interface UsageSystem {
  readonly host: CgroupHost;
  readonly files: Pick<CgroupFiles, 'read'>;
}

/** The kernel's USER_HZ, the same on all architectures that we run on. */
const nanosecondsPerTick = 10_000_000n;

/** Null: there is no such cgroup. */
export function readCgroupUsage(path: string, system: UsageSystem = { host: cgroupHost(), files: kernelFiles }): CgroupUsage | null {
  const { paths, directories, v2Directory } = placementIn(system.host, path);
  const read = (directory: string | null | undefined, name: string): string | null =>
    directory === null || directory === undefined ? null : system.files.read(`${directory}/${name}`);
  if (directories.every((directory) => read(directory, 'cgroup.procs') === null)) return null;
  const unified = (controller: string): string | null => (system.host.unifiedControllers.has(controller) ? v2Directory : null);
  return {
    cpu:
      paths.cpuacct === undefined
        ? cpuV2((name) => read(v2Directory, name))
        : cpuV1(
            (name) => read(paths.cpuacct, name),
            (name) => read(paths.cpu, name),
          ),
    memory: paths.memory === undefined ? memoryV2((name) => read(unified('memory'), name)) : memoryV1((name) => read(paths.memory, name)),
    pids: pidsUsage((name) => read(paths.pids ?? unified('pids'), name)),
    blockIO: paths.blkio === undefined ? blockV2((name) => read(unified('io'), name)) : blockV1((name) => read(paths.blkio, name)),
  };
}

type Read = (name: string) => string | null;

function cpuV1(account: Read, cpu: Read): CpuUsage {
  const stat = pairs(account('cpuacct.stat'));
  const throttling = pairs(cpu('cpu.stat'));
  return {
    total: numberOf(account('cpuacct.usage')),
    user: (stat.get('user') ?? 0n) * nanosecondsPerTick,
    kernel: (stat.get('system') ?? 0n) * nanosecondsPerTick,
    perCpu: (account('cpuacct.usage_percpu') ?? '').split(/\s+/).filter(Boolean).map(BigInt),
    throttling: throttlingOf(throttling, throttling.get('throttled_time') ?? 0n),
  };
}

function cpuV2(read: Read): CpuUsage {
  const stat = pairs(read('cpu.stat'));
  const nanoseconds = (key: string): bigint => (stat.get(key) ?? 0n) * 1000n;
  return {
    total: nanoseconds('usage_usec'),
    user: nanoseconds('user_usec'),
    kernel: nanoseconds('system_usec'),
    perCpu: null,
    throttling: throttlingOf(stat, nanoseconds('throttled_usec')),
  };
}

function throttlingOf(stat: ReadonlyMap<string, bigint>, throttledTime: bigint): CpuUsage['throttling'] {
  return { periods: stat.get('nr_periods') ?? 0n, throttledPeriods: stat.get('nr_throttled') ?? 0n, throttledTime };
}

function memoryV1(read: Read): MemoryUsage | null {
  const usage = read('memory.usage_in_bytes');
  if (usage === null) return null;
  return {
    usage: numberOf(usage),
    maxUsage: numberOf(read('memory.max_usage_in_bytes')),
    failures: numberOf(read('memory.failcnt')),
    limit: numberOf(read('memory.limit_in_bytes')),
    stat: pairs(read('memory.stat')),
  };
}

function memoryV2(read: Read): MemoryUsage | null {
  const usage = read('memory.current');
  if (usage === null) return null;
  return {
    usage: numberOf(usage),
    maxUsage: null,
    failures: pairs(read('memory.events')).get('oom') ?? 0n,
    limit: numberOrMax(read('memory.max')),
    stat: pairs(read('memory.stat')),
  };
}

function pidsUsage(read: Read): CgroupUsage['pids'] {
  const current = read('pids.current');
  return current === null ? null : { current: numberOf(current), limit: numberOrMax(read('pids.max')) };
}

function blockV1(read: Read): BlockUsage {
  // Kernels before 5.0 count per scheduler (CFQ); since then only throttling sees everything.
  const list = (name: string): BlockEntry[] => {
    const entries = entriesOf(read(`blkio.${name}`));
    return entries.length > 0 ? entries : entriesOf(read(`blkio.throttle.${name}`));
  };
  return { version: 1, serviceBytes: list('io_service_bytes_recursive'), serviced: list('io_serviced_recursive') };
}

/** `254:0 Read 8192`; the line `Total N` is of no device. */
function entriesOf(text: string | null): BlockEntry[] {
  return [...(text ?? '').matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, op = '', value = '0']) => ({
    major: Number(major),
    minor: Number(minor),
    op,
    value: BigInt(value),
  }));
}

/** `254:0 rbytes=1 wbytes=2 rios=3 …` */
function blockV2(read: Read): BlockUsage | null {
  const text = read('io.stat');
  if (text === null) return null;
  const serviceBytes = [...text.matchAll(/^(\d+):(\d+) (.*)$/gm)].flatMap(([, major, minor, rest = '']) => {
    const device = { major: Number(major), minor: Number(minor) };
    const value = (key: string): bigint => BigInt(new RegExp(`(?:^| )${key}=(\\d+)`).exec(rest)?.[1] ?? 0);
    return [
      { ...device, op: 'read', value: value('rbytes') },
      { ...device, op: 'write', value: value('wbytes') },
    ];
  });
  return { version: 2, serviceBytes, serviced: [] };
}

/** Lines `name number`. */
function pairs(text: string | null): ReadonlyMap<string, bigint> {
  return new Map([...(text ?? '').matchAll(/^(\S+) (\d+)$/gm)].map(([, name = '', value = '0']) => [name, BigInt(value)]));
}

function numberOf(text: string | null): bigint {
  return /^\d+\s*$/.test(text ?? '') ? BigInt((text ?? '').trim()) : 0n;
}

function numberOrMax(text: string | null): bigint | 'max' {
  return text === null || text.trim() === 'max' ? 'max' : numberOf(text);
}
