/** Limits as the files of cgroup v1 (kernel: Documentation/admin-guide/cgroup-v1). Devices are `cgroup-devices.ts`. Pure. */
import { invalid } from '../base/errors.ts';
import type { CgroupResources, CgroupThrottle, LimitWrite } from './cgroup-resources.ts';

type Memory = NonNullable<CgroupResources['memory']>;
type Cpu = NonNullable<CgroupResources['cpu']>;
type BlockIO = NonNullable<CgroupResources['blockIO']>;

/** In the order to be written. `current` is the memory limit in force (bytes); null for a new cgroup, which has none. */
export function limitsV1(resources: CgroupResources, current: bigint | null): readonly LimitWrite[] {
  return [
    ...(resources.memory === undefined ? [] : memoryLimits(resources.memory, current)),
    ...(resources.cpu === undefined ? [] : [...cpuLimits(resources.cpu), ...cpusetLimits(resources.cpu)]),
    ...(resources.pids === undefined ? [] : [pidsLimit(resources.pids.limit)]),
    ...(resources.blockIO === undefined ? [] : blockLimits(resources.blockIO)),
  ];
}

function memoryLimits(memory: Memory, current: bigint | null): LimitWrite[] {
  const { limit = 0, reservation = 0, swappiness, disableOOMKiller } = memory;
  // "Unlimited memory" would keep an old limit of memory and swap together.
  const swap = limit === -1 && (memory.swap ?? 0) === 0 ? -1 : (memory.swap ?? 0);
  const writes: LimitWrite[] = [];
  const limitWrite = write('memory', 'the memory limit', 'memory.limit_in_bytes', limit);
  const noSwap = 'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.';
  const swapWrite = write('memory', 'the limit of memory and swap', 'memory.memsw.limit_in_bytes', swap, noSwap);
  // The kernel refuses a memory limit above that of memory and swap: whichever is growing goes first.
  const growing = current !== null && limit !== 0 && swap !== 0 && (swap === -1 || current < BigInt(swap));
  const pair = growing ? [swapWrite, limitWrite] : [limitWrite, swapWrite];
  writes.push(...pair.filter(({ files }) => files[0]?.value !== '0'));
  if (reservation !== 0) writes.push(write('memory', 'the memory reservation', 'memory.soft_limit_in_bytes', reservation));
  if (disableOOMKiller === true) {
    const warning = 'Your kernel does not support OomKillDisable. OomKillDisable discarded.';
    writes.push(write('memory', 'the OOM killer', 'memory.oom_control', 1, warning));
  }
  if (swappiness !== undefined && swappiness !== -1) {
    checkRange('memory swappiness', swappiness, 0, 100);
    const warning =
      'Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.';
    writes.push(write('memory', 'the memory swappiness', 'memory.swappiness', swappiness, warning));
  }
  return writes;
}

function cpuLimits(cpu: Cpu): LimitWrite[] {
  const { shares = 0, period = 0, quota = 0, realtimePeriod = 0, realtimeRuntime = 0 } = cpu;
  return [
    ...(shares === 0 ? [] : [write('cpu', 'the CPU shares', 'cpu.shares', shares)]),
    ...(period === 0 ? [] : [write('cpu', 'the CPU period', 'cpu.cfs_period_us', period)]),
    ...(quota === 0 ? [] : [write('cpu', 'the CPU quota', 'cpu.cfs_quota_us', quota)]),
    ...(realtimePeriod === 0 ? [] : [write('cpu', 'the CPU real-time period', 'cpu.rt_period_us', realtimePeriod)]),
    ...(realtimeRuntime === 0 ? [] : [write('cpu', 'the CPU real-time runtime', 'cpu.rt_runtime_us', realtimeRuntime)]),
  ];
}

/** The same files in both versions. */
export function cpusetLimits({ cpus = '', mems = '' }: Cpu): LimitWrite[] {
  return [
    ...(cpus === '' ? [] : [write('cpuset', 'the CPUs to run on', 'cpuset.cpus', cpus)]),
    ...(mems === '' ? [] : [write('cpuset', 'the memory nodes', 'cpuset.mems', mems)]),
  ];
}

export function pidsLimit(limit: number): LimitWrite {
  return write('pids', 'the limit of processes', 'pids.max', limit > 0 ? limit : 'max');
}

function blockLimits(block: BlockIO): LimitWrite[] {
  const { weight = 0, weightDevice = [] } = block;
  const noWeight = 'Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.';
  const noWeightDevice = 'Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.';
  // Since Linux 5.0 only the BFQ scheduler weighs.
  const weigh = (what: string, suffix: string, value: string, warning: string): LimitWrite => ({
    controller: 'blkio',
    what,
    files: ['blkio.weight', 'blkio.bfq.weight'].map((name) => ({ name: `${name}${suffix}`, value })),
    warning,
  });
  for (const each of [weight, ...weightDevice.map((device) => device.weight)])
    if (each !== 0) checkRange('block I/O weight', each, 10, 1000);
  return [
    ...(weight === 0 ? [] : [weigh('the block I/O weight', '', String(weight), noWeight)]),
    ...weightDevice.map((device) =>
      weigh('the block I/O weight of a device', '_device', `${device.major}:${device.minor} ${device.weight}`, noWeightDevice),
    ),
    ...throttle('read_bps', block.throttleReadBpsDevice),
    ...throttle('write_bps', block.throttleWriteBpsDevice),
    ...throttle('read_iops', block.throttleReadIOPSDevice),
    ...throttle('write_iops', block.throttleWriteIOPSDevice),
  ];
}

function throttle(kind: string, devices: readonly CgroupThrottle[] = []): LimitWrite[] {
  return devices.map(({ major, minor, rate }) =>
    write('blkio', `the block I/O limit ${kind}`, `blkio.throttle.${kind}_device`, `${major}:${minor} ${rate}`),
  );
}

export function checkRange(what: string, value: number, minimum: number, maximum: number): void {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw invalid(`Invalid value ${value} of the ${what}: it must be between ${minimum} and ${maximum}.`);
  }
}

function write(
  controller: LimitWrite['controller'],
  what: string,
  name: string,
  value: number | string,
  warning: string | null = null,
): LimitWrite {
  return { controller, what, files: [{ name, value: String(value) }], warning };
}
