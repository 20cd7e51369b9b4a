/** Limits that this kernel does not have: Docker goes on without them and says so, in these words. Pure. */
import { EngineError } from '../base/errors.ts';
import type { LimitSupport } from '../linux/cgroup-facts.ts';
import type { HostConfig } from './config.ts';
import type { HostFacts } from './host-facts.ts';

interface Discard {
  readonly support: keyof LimitSupport;
  readonly asked: (limits: HostConfig) => boolean;
  readonly without: Partial<HostConfig>;
  readonly warning: string;
}

const noCgroup = 'or the cgroup is not mounted.';
const asksList = (list: readonly unknown[] | null): boolean => (list ?? []).length > 0;

const discards: readonly Discard[] = [
  {
    support: 'memory',
    asked: ({ Memory }) => Memory > 0,
    without: { Memory: 0, MemorySwap: -1 },
    warning: `Your kernel does not support memory limit capabilities ${noCgroup} Limitation discarded.`,
  },
  {
    support: 'swap',
    asked: ({ Memory, MemorySwap }) => Memory > 0 && MemorySwap !== -1,
    without: { MemorySwap: -1 },
    warning: `Your kernel does not support swap limit capabilities ${noCgroup} Memory limited without swap.`,
  },
  {
    support: 'swappiness',
    asked: ({ MemorySwappiness }) => (MemorySwappiness ?? -1) !== -1,
    without: { MemorySwappiness: null },
    warning: `Your kernel does not support memory swappiness capabilities ${noCgroup} Memory swappiness discarded.`,
  },
  {
    support: 'reservation',
    asked: ({ MemoryReservation }) => MemoryReservation > 0,
    without: { MemoryReservation: 0 },
    warning: `Your kernel does not support memory soft limit capabilities ${noCgroup} Limitation discarded.`,
  },
  {
    support: 'oomKillDisable',
    asked: ({ OomKillDisable }) => OomKillDisable === true,
    without: { OomKillDisable: null },
    warning: 'Your kernel does not support OomKillDisable. OomKillDisable discarded.',
  },
  {
    support: 'pids',
    asked: ({ PidsLimit }) => (PidsLimit ?? 0) > 0,
    without: { PidsLimit: null },
    warning: `Your kernel does not support PIDs limit capabilities ${noCgroup} PIDs limit discarded.`,
  },
  {
    support: 'cpuShares',
    asked: ({ CpuShares }) => CpuShares > 0,
    without: { CpuShares: 0 },
    warning: `Your kernel does not support CPU shares ${noCgroup} Shares discarded.`,
  },
  {
    support: 'cpuTime',
    asked: ({ CpuPeriod, CpuQuota }) => CpuPeriod !== 0 || CpuQuota !== 0,
    without: { CpuPeriod: 0, CpuQuota: 0 },
    warning: 'Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.',
  },
  {
    support: 'cpuset',
    asked: ({ CpusetCpus, CpusetMems }) => CpusetCpus !== '' || CpusetMems !== '',
    without: { CpusetCpus: '', CpusetMems: '' },
    warning: `Your kernel does not support cpuset ${noCgroup} Cpuset discarded.`,
  },
  {
    support: 'blockWeight',
    asked: ({ BlkioWeight }) => BlkioWeight > 0,
    without: { BlkioWeight: 0 },
    warning: `Your kernel does not support Block I/O weight ${noCgroup} Weight discarded.`,
  },
  {
    support: 'blockWeightDevice',
    asked: ({ BlkioWeightDevice }) => asksList(BlkioWeightDevice),
    without: { BlkioWeightDevice: [] },
    warning: `Your kernel does not support Block I/O weight_device ${noCgroup} Weight-device discarded.`,
  },
  {
    support: 'blockThrottle',
    asked: ({ BlkioDeviceReadBps }) => asksList(BlkioDeviceReadBps),
    without: { BlkioDeviceReadBps: [] },
    warning: `Your kernel does not support BPS Block I/O read limit ${noCgroup} Block I/O BPS read limit discarded.`,
  },
  {
    support: 'blockThrottle',
    asked: ({ BlkioDeviceWriteBps }) => asksList(BlkioDeviceWriteBps),
    without: { BlkioDeviceWriteBps: [] },
    warning: `Your kernel does not support BPS Block I/O write limit ${noCgroup} Block I/O BPS write limit discarded.`,
  },
  {
    support: 'blockThrottle',
    asked: ({ BlkioDeviceReadIOps }) => asksList(BlkioDeviceReadIOps),
    without: { BlkioDeviceReadIOps: [] },
    warning: `Your kernel does not support IOPS Block read limit ${noCgroup} Block I/O IOPS read limit discarded.`,
  },
  {
    support: 'blockThrottle',
    asked: ({ BlkioDeviceWriteIOps }) => asksList(BlkioDeviceWriteIOps),
    without: { BlkioDeviceWriteIOps: [] },
    warning: `Your kernel does not support IOPS Block write limit ${noCgroup} Block I/O IOPS write limit discarded.`,
  },
];

export function discardUnsupported(
  asked: HostConfig,
  { limits }: Pick<HostFacts, 'limits'>,
): { readonly hostConfig: HostConfig; readonly warnings: readonly string[] } {
  refuseMissing(asked, limits);
  const found = discards.filter(({ support, asked: isAsked }) => !limits[support] && isAsked(asked));
  const hostConfig: HostConfig = Object.assign({ ...asked }, ...found.map(({ without }) => without));
  return { hostConfig, warnings: found.map(({ warning }) => warning) };
}

/** Without these Docker does not go on. */
function refuseMissing({ NanoCpus, CpuRealtimePeriod, CpuRealtimeRuntime }: HostConfig, limits: LimitSupport): void {
  if (NanoCpus > 0 && !limits.cpuTime) {
    const why = 'as your kernel does not support CPU CFS scheduler or the cgroup is not mounted';
    throw new EngineError('invalid', `NanoCPUs can not be set, ${why}`);
  }
  if ((CpuRealtimePeriod !== 0 || CpuRealtimeRuntime !== 0) && !limits.cpuRealtime) {
    throw new EngineError('invalid', 'kernel does not support CPU real-time scheduler');
  }
}
