/** What the usage worker is asked and answers. One reading serves every container that somebody watches. */
import type { CgroupUsage } from '../linux/cgroup-usage.ts';
import type { InterfaceCounters, MachineCpu } from '../linux/machine-usage.ts';
import type { ProcessFacts } from '../linux/process-facts.ts';

export interface UsageTarget {
  readonly id: string;
  /** Below each controller's mount. */
  readonly cgroup: string;
  /** A process in its network namespace. */
  readonly pid: number;
  /** The interfaces that count as its own; none: it has no network of its own. */
  readonly interfaces: readonly string[];
  /** Its processes too. Default: no. */
  readonly processes?: boolean;
}

export interface UsageSample {
  readonly at: Date;
  readonly machine: MachineCpu;
  readonly cgroup: CgroupUsage;
  readonly interfaces: readonly InterfaceCounters[];
  /** Empty unless asked for. */
  readonly processes: readonly ProcessFacts[];
}

/** In the order of the targets; null: it does not run any more. */
export type UsageReading = readonly (UsageSample | null)[];

export type ReadUsage = (targets: readonly UsageTarget[]) => Promise<UsageReading>;
