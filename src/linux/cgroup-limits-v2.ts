/** Limits as the files of cgroup v2 (kernel: Documentation/admin-guide/cgroup-v2.rst), converted from v1's units as runc does. Pure. */
import { invalid } from '../base/errors.ts';
import { checkRange, cpusetLimits, pidsLimit } from './cgroup-limits-v1.ts';
import type { CgroupResources, CgroupThrottle, LimitWrite } from './cgroup-resources.ts';

type Memory = NonNullable<CgroupResources['memory']>;
type Cpu = NonNullable<CgroupResources['cpu']>;
type BlockIO = NonNullable<CgroupResources['blockIO']>;

const defaultPeriod = 100_000;

/** `currentMax` is the text of `cpu.max` in force, which keeps its half when only the other is given; null for a new cgroup. */
export function limitsV2(resources: CgroupResources, currentMax: string | null): readonly LimitWrite[] {
  return [
    ...(resources.memory === undefined ? [] : memoryLimits(resources.memory)),
    ...(resources.cpu === undefined ? [] : [...cpuLimits(resources.cpu, currentMax), ...cpusetLimits(resources.cpu)]),
    ...(resources.pids === undefined ? [] : [pidsLimit(resources.pids.limit)]),
    ...(resources.blockIO === undefined ? [] : blockLimits(resources.blockIO)),
  ];
}

function memoryLimits(memory: Memory): LimitWrite[] {
  const { limit = 0, reservation = 0, swappiness, disableOOMKiller } = memory;
  const writes: LimitWrite[] = [];
  const swap = swapMax(limit, memory.swap ?? 0);
  const noSwap = 'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.';
  if (swap !== null) writes.push(one('memory', 'the swap limit', 'memory.swap.max', swap, noSwap));
  if (limit !== 0) writes.push(one('memory', 'the memory limit', 'memory.max', numberOrMax(limit)));
  if (reservation !== 0) writes.push(one('memory', 'the memory reservation', 'memory.low', numberOrMax(reservation)));
  if (disableOOMKiller === true) writes.push(discarded('memory', 'Your kernel does not support OomKillDisable. OomKillDisable discarded.'));
  if (swappiness !== undefined && swappiness !== -1) {
    checkRange('memory swappiness', swappiness, 0, 100);
    writes.push(
      discarded(
        'memory',
        'Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
      ),
    );
  }
  return writes;
}

/** v1 limits memory and swap together, v2 swap alone. Null: leave it. */
export function swapMax(limit: number, swap: number): string | null {
  if (swap === -1 || (swap === 0 && limit === -1)) return 'max';
  if (swap === 0) return null;
  if (limit <= 0) throw invalid('Cannot limit swap without a limit of memory: set the memory limit too.');
  if (swap < limit) throw invalid(`The limit of memory and swap, ${swap}, must not be below the memory limit, ${limit}.`);
  return String(swap - limit);
}

function numberOrMax(value: number): string {
  return value === -1 ? 'max' : String(value);
}

function cpuLimits(cpu: Cpu, currentMax: string | null): LimitWrite[] {
  const { shares = 0, quota = 0, period = 0, realtimePeriod = 0, realtimeRuntime = 0 } = cpu;
  if (realtimePeriod !== 0 || realtimeRuntime !== 0) {
    throw invalid('CPU real-time limits do not exist in cgroup v2. Remove --cpu-rt-period and --cpu-rt-runtime.');
  }
  const writes: LimitWrite[] = [];
  if (shares !== 0) writes.push(one('cpu', 'the CPU weight', 'cpu.weight', String(cpuWeight(shares))));
  if (quota !== 0 || period !== 0) {
    const [oldQuota = 'max', oldPeriod = String(defaultPeriod)] = currentMax?.trim().split(' ') ?? [];
    const newQuota = quota === 0 ? oldQuota : quota > 0 ? String(quota) : 'max';
    writes.push(one('cpu', 'the CPU quota', 'cpu.max', `${newQuota} ${period === 0 ? oldPeriod : period}`));
  }
  return writes;
}

/**
 * Shares 2…262144 to a weight 1…10000 so that the defaults (1024, 100) meet, by runc's formula since 1.3.2:
 * 10^((l² + 125l)/612 - 7/34) with l = log₂(shares). The straight line it replaced gave a default container the weight 39.
 */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const log = Math.log2(shares);
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}

/** Weights of BFQ, 10…1000, to those of `io.weight`, 1…10000. */
export function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

function blockLimits(block: BlockIO): LimitWrite[] {
  const { weight = 0, weightDevice = [] } = block;
  const weigh = (what: string, prefix: string, value: number, warning: string): LimitWrite => {
    checkRange('block I/O weight', value, 10, 1000);
    const files = [
      { name: 'io.bfq.weight', value: `${prefix}${value}` },
      { name: 'io.weight', value: `${prefix}${ioWeight(value)}` },
    ];
    return { controller: 'blkio', what, files, warning };
  };
  const noWeight = 'Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.';
  const noWeightDevice = 'Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.';
  return [
    ...(weight === 0 ? [] : [weigh('the block I/O weight', '', weight, noWeight)]),
    ...weightDevice.map((device) =>
      weigh('the block I/O weight of a device', `${device.major}:${device.minor} `, device.weight, noWeightDevice),
    ),
    ...throttle('rbps', block.throttleReadBpsDevice),
    ...throttle('wbps', block.throttleWriteBpsDevice),
    ...throttle('riops', block.throttleReadIOPSDevice),
    ...throttle('wiops', block.throttleWriteIOPSDevice),
  ];
}

function throttle(key: string, devices: readonly CgroupThrottle[] = []): LimitWrite[] {
  // 0 lifts a limit in v1; v2 says "max".
  return devices.map(({ major, minor, rate }) =>
    one('blkio', `the block I/O limit ${key}`, 'io.max', `${major}:${minor} ${key}=${rate === 0 ? 'max' : rate}`),
  );
}

function one(controller: LimitWrite['controller'], what: string, name: string, value: string, warning: string | null = null): LimitWrite {
  return { controller, what, files: [{ name, value }], warning };
}

/** A limit that v2 has no file for. */
function discarded(controller: LimitWrite['controller'], warning: string): LimitWrite {
  return { controller, what: '', files: [], warning };
}
