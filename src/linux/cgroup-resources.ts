/** What a cgroup limits. The shape of `linux.resources` in the OCI runtime spec, which can be passed as it is (this folder imports nothing but `base`). */
export interface CgroupResources {
  readonly devices?: readonly CgroupDeviceRule[];
  readonly memory?: {
    /** Bytes; -1: unlimited. 0, here and below: not set. */
    readonly limit?: number;
    readonly reservation?: number;
    /** Memory and swap together, as in cgroup v1. */
    readonly swap?: number;
    readonly swappiness?: number;
    readonly disableOOMKiller?: boolean;
  };
  readonly cpu?: {
    readonly shares?: number;
    readonly quota?: number;
    readonly period?: number;
    readonly realtimeRuntime?: number;
    readonly realtimePeriod?: number;
    readonly cpus?: string;
    readonly mems?: string;
  };
  /** Zero or less: unlimited. */
  readonly pids?: { readonly limit: number };
  readonly blockIO?: {
    readonly weight?: number;
    readonly weightDevice?: readonly { readonly major: number; readonly minor: number; readonly weight: number }[];
    readonly throttleReadBpsDevice?: readonly CgroupThrottle[];
    readonly throttleWriteBpsDevice?: readonly CgroupThrottle[];
    readonly throttleReadIOPSDevice?: readonly CgroupThrottle[];
    readonly throttleWriteIOPSDevice?: readonly CgroupThrottle[];
  };
}

export interface CgroupDeviceRule {
  readonly allow: boolean;
  /** Missing or `a`: character and block devices. */
  readonly type?: 'a' | 'c' | 'b';
  /** Missing or -1: any. */
  readonly major?: number;
  readonly minor?: number;
  /** Some of `rwm`; missing: all. */
  readonly access?: string;
}

export interface CgroupThrottle {
  readonly major: number;
  readonly minor: number;
  readonly rate: number;
}

export type CgroupController = 'memory' | 'cpu' | 'cpuset' | 'pids' | 'blkio';

/** One limit, as a value for a file of a cgroup. */
export interface LimitWrite {
  readonly controller: CgroupController;
  /** What is limited, for messages: "the memory limit". */
  readonly what: string;
  /** The first that exists is written. */
  readonly files: readonly { readonly name: string; readonly value: string }[];
  /** Null: a kernel without the file (or the controller) is an error. Else the warning with which Docker goes on without the limit. */
  readonly warning: string | null;
}
