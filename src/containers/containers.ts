/** What `api` may ask of containers. The implementation is `container-service.ts`. References are a full id, a unique prefix of one, or a name with or without `/`. */
import type { Duplex, Readable } from 'node:stream';
import type { ContainerId, ImageId } from '../base/brand.ts';
import type { EndpointSettings, EndpointState, PortChange, Sandbox } from '../network/networks.ts';
import type { ContainerConfig, ExecConfig, HostConfig } from './config.ts';
import type { ContainerUpdate } from './container-update.ts';
import type { GivenDevices } from './given-devices.ts';
import type { GpuShare, ProcessGpuUse } from './gpu-share.ts';
import type { Health } from './health.ts';
import type { ProcessTable } from './ps-output.ts';
import type { UsageSample } from './usage-reading.ts';

export type { BlockEntry, CgroupUsage } from '../linux/cgroup-usage.ts';
export type { InterfaceCounters } from '../linux/machine-usage.ts';
export type { GpuShare, ProcessGpuUse } from './gpu-share.ts';
export type { ProcessTable } from './ps-output.ts';
export type { UsageSample } from './usage-reading.ts';

export interface Containers {
  create(request: CreateRequest): Promise<{ readonly id: ContainerId; readonly warnings: readonly string[] }>;
  /** `already-running` is an outcome, not an error (HTTP 304). Throws `StartError` with Docker's texts. */
  start(reference: string): Promise<'started' | 'already-running'>;
  stop(reference: string, options: StopOptions): Promise<'stopped' | 'already-stopped'>;
  restart(reference: string, options: StopOptions): Promise<void>;
  /** `signal`: `TERM`, `SIGTERM` or a number as text. */
  kill(reference: string, signal: string): Promise<void>;
  /** Stops every process where it is; `conflict` when it is paused already or does not run. */
  pause(reference: string): Promise<void>;
  unpause(reference: string): Promise<void>;
  /** Limits and restart policy, at once in the kernel when it runs; nothing changes when something cannot. Returns warnings. */
  update(reference: string, update: ContainerUpdate): Promise<readonly string[]>;
  rename(reference: string, name: string): Promise<void>;
  remove(reference: string, options: { readonly force: boolean; readonly volumes: boolean }): Promise<void>;
  prune(filters: ContainerFilters): Promise<{ readonly removed: readonly ContainerId[]; readonly reclaimedBytes: number }>;
  /** The promise given back inside resolves with the exit; the outer one when the wait is registered (headers may go out then). */
  wait(
    reference: string,
    condition: 'not-running' | 'next-exit' | 'removed',
    signal: AbortSignal,
  ): Promise<{ readonly exit: Promise<WaitResult> }>;
  /** Beyond Docker: resolves when it is ready, or with an error when it will not be. */
  waitUntilReady(reference: string, readiness: Readiness, signal: AbortSignal): Promise<WaitResult>;
  attach(reference: string, options: AttachOptions): Promise<AttachSession>;
  resize(reference: string, rows: number, columns: number): Promise<void>;
  logs(reference: string, options: LogOptions, signal: AbortSignal): Promise<{ readonly tty: boolean; readonly stream: Readable }>;
  /** Lines of the host's `ps`; `psArguments` empty: `-ef`. */
  processes(reference: string, psArguments: string): Promise<ProcessTable>;
  /** Beyond Docker: what all running containers and their processes have used, once a second. */
  usage(signal: AbortSignal): AsyncIterable<UsageTable>;
  /** Without `stream` it is one; it ends when the container is gone. Throws at once for what cannot be asked together. */
  stats(reference: string, options: StatsOptions, signal: AbortSignal): AsyncIterable<ContainerStats>;
  inspect(reference: string, options?: { readonly size?: boolean }): Promise<ContainerView>;
  list(options: ListOptions): Promise<readonly ContainerView[]>;
  createExec(reference: string, config: ExecConfig): Promise<string>;
  /** Detached: resolves when it runs. Attached: the stream ends after the exit is known to `inspectExec`. A failed start is told by Docker's text and kept as exit code. */
  startExec(id: string, options: ExecStartOptions): Promise<AttachSession | null>;
  resizeExec(id: string, rows: number, columns: number): Promise<void>;
  inspectExec(id: string): ExecView;
  /**
   * Joins one more network: a running container at once, another at its next start. `network`: name, id or unique prefix of one. `forbidden` when it is on it
   * already, with Docker's text.
   */
  connectNetwork(reference: string, network: string, settings: EndpointSettings): Promise<void>;
  /** `forbidden` when it is not on it. `force`: a container that does not exist, or no longer, is fine too. */
  disconnectNetwork(reference: string, network: string, options: { readonly force: boolean }): Promise<void>;
  /** Beyond Docker: publishes and unpublishes ports of a running container; its stored configuration changes with it. */
  changePorts(reference: string, change: PortChange): Promise<void>;
  /** What is at a path: links in its directories are followed, the last part only behind a trailing `/`. */
  statPath(reference: string, path: string): Promise<PathStat>;
  /** A tar of it, entries named from the last part of `path` on. The stream fails when the container stops where that hides something. */
  readPath(reference: string, path: string): Promise<{ readonly stat: PathStat; readonly tar: Readable }>;
  /** A tar into an existing directory. `archive` is not destroyed. */
  writePath(reference: string, path: string, archive: Readable, options: WritePathOptions): Promise<void>;
  /** A tar of all its files, what is mounted left out. */
  export(reference: string): Promise<Readable>;
  /** Sorted by path. */
  changes(reference: string): Promise<readonly FileChange[]>;
  commit(reference: string, options: CommitOptions): Promise<ImageId>;
  onEvent(listener: (event: ContainerEvent) => void): () => void;
  counts(): { readonly running: number; readonly paused: number; readonly stopped: number };
}

export interface CreateRequest {
  readonly name: string | null;
  readonly platform: string | null;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** NetworkingConfig.EndpointsConfig, normalised: network name or id → what its endpoint is asked to be. `default` is the default bridge. */
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
}

export interface PathStat {
  readonly name: string;
  readonly sizeBytes: number;
  /** Bits as Go's os.FileMode has them. */
  readonly mode: number;
  /** Nanoseconds since 1970. */
  readonly modifiedAtNs: string;
  /** Of a symbolic link, all links on the way followed; else ''. */
  readonly linkTarget: string;
}

export interface WritePathOptions {
  /** Refuses to put a directory in the place of something else, and the other way round. */
  readonly noOverwriteDirNonDir: boolean;
  /** What is written belongs to the container's user (`Config.User`), if it has one. */
  readonly copyUidGid: boolean;
}

export interface FileChange {
  readonly path: string;
  readonly kind: 'modified' | 'added' | 'deleted';
}

export interface CommitOptions {
  /** `repo:tag`, or null. */
  readonly image: string | null;
  readonly author: string;
  readonly comment: string;
  readonly pause: boolean;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  /** Instead of the container's own configuration, which still fills what is missing. */
  readonly config: ContainerConfig | null;
}

export interface StopOptions {
  readonly signal: string | null;
  /** Null: the container's own StopTimeout, or 10 s. -1: wait for ever. */
  readonly timeoutSeconds: number | null;
}

export interface WaitResult {
  readonly statusCode: number;
  /** Why the exit is not the process's own, else null. */
  readonly error: string | null;
}

export type Readiness =
  | { readonly kind: 'healthy' }
  | { readonly kind: 'listening'; readonly port: number; readonly protocol: 'tcp' | 'udp' };

export interface AttachOptions {
  readonly stream: boolean;
  readonly logs: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Docker syntax, `ctrl-p,ctrl-q`; null: the default. */
  readonly detachKeys: string | null;
}

/** `stream` carries frames or, with a terminal, raw bytes; see runtime.ts `StdioStream`. Detach keys are already handled. Destroy it when the client is gone. */
export interface AttachSession {
  readonly tty: boolean;
  readonly stream: Duplex;
}

export interface ExecStartOptions {
  readonly detach: boolean;
  readonly tty: boolean;
  readonly consoleSize: readonly [number, number] | null;
}

export interface LogOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly details: boolean;
  /** Nanoseconds since the epoch. */
  readonly since: bigint | null;
  readonly until: bigint | null;
  /** Lines from the end; null: all. */
  readonly tail: number | null;
}

export interface UsageTable {
  readonly at: Date;
  readonly containers: readonly {
    readonly id: ContainerId;
    readonly name: string;
    readonly isPaused: boolean;
    readonly sample: UsageSample;
    /** Of the GPUs that it holds; empty: none. */
    readonly gpus: readonly GpuShare[];
    /** By process id; those that use none are left out. */
    readonly gpuProcesses: ReadonlyMap<number, ProcessGpuUse>;
  }[];
}

export interface StatsOptions {
  readonly stream: boolean;
  /** One sample at once, with none before it to compare with. */
  readonly oneShot: boolean;
}

export interface ContainerStats {
  readonly id: ContainerId;
  readonly name: string;
  /** Null: it does not run. */
  readonly sample: UsageSample | null;
  /** The sample before it that the same client got, or would have got. */
  readonly previous: UsageSample | null;
  /** Of the GPUs that it holds; empty: none. */
  readonly gpus: readonly GpuShare[];
}

export interface ListOptions {
  readonly all: boolean;
  readonly limit: number | null;
  readonly size: boolean;
  readonly filters: ContainerFilters;
}

/** Filter key → values, already parsed from both wire forms; unknown keys are refused by `list` and `prune` (`invalid filter 'x'`). */
export type ContainerFilters = Readonly<Record<string, readonly string[]>>;

export type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export interface ContainerView {
  readonly id: ContainerId;
  /** Without the leading `/`. */
  readonly name: string;
  readonly createdAt: Date;
  readonly path: string;
  readonly args: readonly string[];
  readonly state: {
    readonly status: ContainerStatus;
    readonly oomKilled: boolean;
    readonly pid: number;
    readonly exitCode: number;
    readonly error: string;
    readonly startedAt: Date | null;
    readonly finishedAt: Date | null;
    /** Null: nothing checks it, or it never ran. */
    readonly health: Health | null;
  };
  readonly imageId: ImageId;
  /** Name as given at creation. */
  readonly imageReference: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly mounts: readonly MountPoint[];
  /** By network name. Only the settings and, once it ran, the network's id are filled while the container does not run; `host` and `none` have no address. */
  readonly networks: Readonly<Record<string, EndpointState>>;
  /** Published and exposed ports while it runs, else empty; see `Sandbox.ports`. */
  readonly ports: Sandbox['ports'];
  /** `/proc/PID/ns/net` of its network namespace while it runs, else ''. */
  readonly sandboxKey: string;
  readonly restartCount: number;
  /** Of AppArmor; `''`: none. */
  readonly appArmorProfile: string;
  readonly execIds: readonly string[];
  readonly paths: { readonly resolvConf: string; readonly hostname: string; readonly hosts: string; readonly log: string };
  /** For GraphDriver.Data: LowerDir, MergedDir, UpperDir, WorkDir. */
  readonly graph: Readonly<Record<string, string>>;
  readonly platform: string;
  /** Beyond Docker: what its run has been granted; null while it has none. */
  readonly devices: GivenDevices | null;
  readonly size: { readonly rwBytes: number; readonly rootFsBytes: number } | null;
}

export interface MountPoint {
  readonly type: 'bind' | 'tmpfs' | 'volume' | 'image';
  /** Of a volume. */
  readonly name?: string;
  readonly driver?: string;
  readonly source: string;
  readonly destination: string;
  readonly mode: string;
  readonly rw: boolean;
  readonly propagation: string;
}

export interface ExecView {
  readonly id: string;
  readonly containerId: ContainerId;
  readonly running: boolean;
  /** Null while it runs or was not started. */
  readonly exitCode: number | null;
  readonly pid: number;
  readonly config: ExecConfig;
  readonly canRemove: boolean;
}

export interface ContainerEvent {
  /** create, attach, start, resize, die, kill, stop, restart, oom, detach, destroy, rename, exec_create: …, exec_start: …, exec_die, exec_detach, prune */
  readonly action: string;
  readonly id: ContainerId;
  /** image, name, labels, exitCode, signal, … as Docker's Actor.Attributes */
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the epoch. */
  readonly timeNano: bigint;
}
