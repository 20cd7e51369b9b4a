/** What `/version` and `/info` tell about the daemon and its host. Found out once, at the start of the daemon; only what a reload may change (labels, liveRestore, debug, registries) changes while it runs. */

export interface SystemFacts {
  /** Stable for a data root. */
  readonly daemonId: string;
  readonly engineVersion: string;
  readonly gitCommit: string;
  readonly buildTime: Date;
  readonly startedAt: Date;
  readonly runtimeVersion: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  /** As image configs name it: `amd64`. */
  readonly architecture: string;
  /** As `uname -m` names it: `x86_64`. */
  readonly machine: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly hostname: string;
  readonly dataRoot: string;
  readonly labels: readonly string[];
  readonly cgroupVersion: '1' | '2';
  readonly limits: {
    readonly memory: boolean;
    readonly swap: boolean;
    readonly oomKillDisable: boolean;
    readonly cpuQuota: boolean;
    readonly cpuShares: boolean;
    readonly cpuset: boolean;
    readonly pids: boolean;
  };
  readonly securityOptions: readonly string[];
  readonly runtimes: readonly { readonly name: string; readonly path: string; readonly args: readonly string[] }[];
  /** What is wrong with them; told by `info` as soon as their programs have said who they are. */
  readonly runtimeWarnings: () => readonly string[];
  readonly defaultRuntime: string;
  readonly backingFilesystem: string;
  readonly liveRestore: boolean;
  /** Of containers that name none. */
  readonly loggingDriver: string;
  readonly debug: boolean;
  readonly registries: {
    /** Of docker.io. */
    readonly mirrors: readonly string[];
    /** `host[:port]` */
    readonly insecureHosts: readonly string[];
    /** Besides loopback. */
    readonly insecureSubnets: readonly string[];
    /** Without a password; empty: none. */
    readonly httpProxy: string;
    readonly httpsProxy: string;
    readonly noProxy: string;
  };
  readonly warnings: readonly string[];
  readonly network: {
    /** By Docker's names: bridge, host, ipvlan, macvlan, null. */
    readonly drivers: readonly string[];
    /** Where subnets of new networks come from, if somebody said so. */
    readonly addressPools: readonly { readonly base: string; readonly size: number }[];
    readonly firewallBackend: 'nftables' | 'none';
  };
}
