/** A kernel that has every limit, for tests. */
import type { LimitSupport } from '../../linux/cgroup-facts.ts';

export const everyLimit: LimitSupport = {
  ...{ memory: true, swap: true, reservation: true, swappiness: true, oomKillDisable: true, pids: true },
  ...{ cpuShares: true, cpuTime: true, cpuRealtime: true, cpuset: true },
  ...{ blockWeight: true, blockWeightDevice: true, blockThrottle: true },
};
