/** What the daemon answers, as far as this client reads it. Fields that a peer may leave out are optional; inspect documents stay text (see `ContainerApi.inspectRaw`). */

export interface ContainerSummary {
  readonly Id: string;
  readonly Names: readonly string[] | null;
  readonly Image: string;
  readonly ImageID: string;
  readonly Command: string;
  /** Unix seconds. */
  readonly Created: number;
  readonly Ports: readonly PortSummary[] | null;
  readonly SizeRw?: number;
  readonly SizeRootFs?: number;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly State: string;
  readonly Status: string;
  readonly NetworkSettings?: { readonly Networks: Readonly<Record<string, unknown>> | null } | null;
  readonly Mounts?: readonly MountSummary[] | null;
}

export interface PortSummary {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

export interface MountSummary {
  readonly Type?: string;
  readonly Name?: string;
  readonly Source: string;
  readonly Destination: string;
}

export interface ContainerDetails {
  readonly Id: string;
  readonly Name: string;
  readonly Image: string;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Paused: boolean;
    readonly Restarting: boolean;
    readonly ExitCode: number;
    readonly Error?: string;
    readonly StartedAt: string;
    /** Absent: nothing checks it. */
    readonly Health?: { readonly Status: string };
  };
  readonly Config: { readonly Tty: boolean; readonly OpenStdin: boolean; readonly StdinOnce: boolean };
  readonly HostConfig: { readonly AutoRemove?: boolean };
  readonly NetworkSettings?: {
    readonly Ports?: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>> | null;
  };
}

export interface CreatedContainer {
  readonly Id: string;
  readonly Warnings: readonly string[] | null;
}

export interface WaitAnswer {
  readonly StatusCode: number;
  readonly Error?: { readonly Message: string } | null;
}

export interface ExecDetails {
  readonly ID: string;
  readonly Running: boolean;
  readonly ExitCode: number | null;
  readonly Pid: number;
}

export interface TopAnswer {
  readonly Titles: readonly string[];
  readonly Processes: readonly (readonly string[])[] | null;
}

export interface FileChange {
  readonly Path: string;
  /** 0 modified, 1 added, 2 deleted. */
  readonly Kind: number;
}

export interface ImageSummary {
  readonly Id: string;
  readonly ParentId?: string;
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
  /** Unix seconds. */
  readonly Created: number;
  readonly Size: number;
  readonly SharedSize: number;
  readonly Containers: number;
  readonly Labels: Readonly<Record<string, string>> | null;
}

export interface FoundImage {
  readonly name: string;
  readonly description: string;
  readonly star_count: number;
  readonly is_official: boolean;
}

export interface HistoryItem {
  readonly Id: string;
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Comment: string;
  readonly Size: number;
  readonly Tags: readonly string[] | null;
}

export type RemovedItem = { readonly Untagged?: string; readonly Deleted?: string };

export interface PruneAnswer {
  readonly SpaceReclaimed?: number;
  readonly ContainersDeleted?: readonly string[] | null;
  readonly ImagesDeleted?: readonly RemovedItem[] | null;
  readonly NetworksDeleted?: readonly string[] | null;
  readonly VolumesDeleted?: readonly string[] | null;
  readonly CachesDeleted?: readonly string[] | null;
}

/** A line of progress: pull, push, load, import. */
export interface ProgressMessage {
  readonly stream?: string;
  readonly status?: string;
  readonly id?: string;
  readonly from?: string;
  readonly progress?: string;
  readonly progressDetail?: {
    readonly current?: number;
    readonly total?: number;
    readonly units?: string;
    readonly hidecounts?: boolean;
    readonly start?: number;
  };
  readonly errorDetail?: { readonly code?: number; readonly message?: string };
  readonly error?: string;
  readonly aux?: unknown;
}

export interface NetworkSummary {
  readonly Id: string;
  readonly Name: string;
  readonly Created: string;
  readonly Driver: string;
  readonly Scope: string;
  readonly EnableIPv4?: boolean;
  readonly EnableIPv6?: boolean;
  readonly Internal?: boolean;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

/** A port that a container exposes to the world (`GET /ports`, which only Gantry has). */
export interface PublishedPort {
  readonly ContainerID: string;
  readonly ContainerName: string;
  readonly Network: string;
  readonly Protocol: string;
  readonly HostIp: string;
  readonly HostPort: number;
  readonly ContainerIp: string;
  readonly ContainerPort: number;
  /** `nat` or `proxy`. */
  readonly How: string;
  /** `host`, `containers`, `network`. */
  readonly ReachableFrom: readonly string[];
}

/** Container port with protocol (`80/tcp`) → where it is published. */
export type PortBindings = Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[]>>;

export interface VolumeSummary {
  readonly Name: string;
  readonly Driver: string;
  readonly Scope?: string;
  readonly Mountpoint?: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly UsageData?: { readonly Size: number; readonly RefCount: number } | null;
}

export interface EventMessage {
  readonly Type: string;
  readonly Action: string;
  readonly Actor?: { readonly ID: string; readonly Attributes?: Readonly<Record<string, string>> | null };
  readonly scope?: string;
  readonly time?: number;
  readonly timeNano?: bigint;
  /** Older names of the same, before API 1.52. */
  readonly status?: string;
  readonly id?: string;
  readonly from?: string;
}

export interface VersionAnswer {
  readonly Platform?: { readonly Name: string };
  readonly Components?: readonly VersionComponent[] | null;
  readonly Version: string;
  readonly ApiVersion: string;
  readonly MinAPIVersion?: string;
  readonly GitCommit?: string;
  readonly GoVersion?: string;
  readonly Os: string;
  readonly Arch: string;
  readonly KernelVersion?: string;
  readonly BuildTime?: string;
}

export interface VersionComponent {
  readonly Name: string;
  readonly Version: string;
  readonly Details?: Readonly<Record<string, string>> | null;
}

export interface DiskUsageAnswer {
  readonly LayersSize?: number;
  readonly Images?: readonly ImageSummary[] | null;
  readonly Containers?: readonly ContainerSummary[] | null;
  readonly Volumes?: readonly VolumeSummary[] | null;
  readonly BuildCache?: readonly BuildCacheRecord[] | null;
}

export interface BuildCacheRecord {
  readonly ID: string;
  readonly Type: string;
  readonly InUse: boolean;
  readonly Shared: boolean;
  readonly Size: number;
  readonly CreatedAt?: string;
  readonly LastUsedAt?: string | null;
  readonly UsageCount?: number;
  readonly Description?: string;
  readonly Parents?: readonly string[] | null;
}

export interface RegistryCredentials {
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
  readonly serveraddress?: string;
}

/** `filters` of list, prune and events calls: key → values. */
export type Filters = Readonly<Record<string, readonly string[]>>;

export interface FsckAnswer {
  readonly Findings: readonly FsckFinding[];
}

export interface FsckFinding {
  readonly Kind: string;
  readonly What: string;
  readonly Why: string;
  /** What a repair does; empty: only a person can. */
  readonly Repair: string;
  readonly Outcome: 'found' | 'repaired' | 'failed';
  readonly Error?: string;
}
