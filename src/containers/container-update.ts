/** What may change of a container that exists, as `docker update` says it. */
import type { HostConfig } from './config.ts';

/** The limits that can be changed; all others of a container are for its life. */
export type UpdatableLimits = Pick<
  HostConfig,
  | 'BlkioWeight'
  | 'CpuPeriod'
  | 'CpuQuota'
  | 'CpuRealtimePeriod'
  | 'CpuRealtimeRuntime'
  | 'CpuShares'
  | 'CpusetCpus'
  | 'CpusetMems'
  | 'Memory'
  | 'MemoryReservation'
  | 'MemorySwap'
  | 'NanoCpus'
>;

export interface ContainerUpdate {
  readonly limits: Readonly<UpdatableLimits>;
  /** Null: as it is. Zero or less: no limit. */
  readonly pidsLimit: number | null;
  /** Null: as it is. */
  readonly restartPolicy: HostConfig['RestartPolicy'] | null;
}
