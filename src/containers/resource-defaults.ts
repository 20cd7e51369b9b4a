/** What the daemon gives to containers that do not say it themselves: `--default-ulimit`, `--cgroup-parent`, `--default-shm-size`, real-time budgets. Pure. */
import type { HostConfig } from './config.ts';

export interface ResourceDefaults {
  readonly ulimits: readonly { readonly Name: string; readonly Soft: number; readonly Hard: number }[];
  /** '': the daemon's own cgroup. Checked. */
  readonly cgroupParent: string;
  /** 0: Docker's 64 MiB. */
  readonly shmSizeBytes: number;
  /** What cgroups above containers may spend on real-time processes (cgroup v1), microseconds; runtime 0: what the kernel gave them. */
  readonly realtime: { readonly period: number; readonly runtime: number };
}

export const noResourceDefaults: ResourceDefaults = { ulimits: [], cgroupParent: '', shmSizeBytes: 0, realtime: { period: 0, runtime: 0 } };

/** They become the container's own: what the daemon is told later does not change it. */
export function withResourceDefaults(asked: HostConfig, { ulimits, cgroupParent, shmSizeBytes }: ResourceDefaults): HostConfig {
  const own = new Set((asked.Ulimits ?? []).map(({ Name }) => Name));
  const added = ulimits.filter(({ Name }) => !own.has(Name));
  return {
    ...asked,
    ...(added.length === 0 ? {} : { Ulimits: [...(asked.Ulimits ?? []), ...added] }),
    CgroupParent: asked.CgroupParent || cgroupParent,
    ShmSize: asked.ShmSize || shmSizeBytes,
  };
}
