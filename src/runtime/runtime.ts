/**
 * The contract of a runtime: turns an OCI runtime spec plus stdio wishes into a running process, and looks after it until its exit is known.
 *
 * Lifecycle. `start` resolves when execve succeeded and rejects with a `StartError` when it did not (nothing is left behind then). The container's monitor owns
 * its stdio, log and exit status from then on and outlives this process. `adopt` finds it again after a restart of the daemon. `exited` settles exactly once; after
 * it the owner calls `release`, which lets the monitor leave. Streams are byte exact: what the process wrote before it ended is delivered before the stream ends.
 *
 * Every runtime passes `runtime-suite.ts`.
 */
import type { Duplex } from 'node:stream';
import type { ContainerId } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import type { KeptDescriptor } from '../linux/kept-descriptor.ts';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';

export interface Runtime {
  readonly name: string;
  start(request: StartRequest): Promise<RunningContainer>;
  /**
   * After a restart of the daemon: the running container, its exit status when it ended meanwhile, or `lost` when neither monitor nor launcher knows.
   * What is then still in its cgroup (`cgroupsPath` of its spec) is killed and the cgroup removed. A monitor that is there and says nothing for two seconds is
   * not waited for: see `RunningContainer.answered`. `kept`: what it kept when it was last heard of.
   */
  adopt(id: ContainerId, cgroupsPath?: string | null, kept?: KeptByMonitor): Promise<RunningContainer | ExitStatus | 'lost'>;
}

export interface StartRequest {
  readonly id: ContainerId;
  /** Which one of several; default: the native one. */
  readonly runtime?: string;
  /** OCI runtime spec. `root.path` is ignored when `rootfs` is an overlay. */
  readonly spec: RuntimeSpec;
  readonly rootfs: Rootfs;
  readonly log: LogTarget | null;
  readonly stdin: StdinMode;
  /** Attach streams that exist before the process does: they see its first byte, and push back on it without limit. */
  readonly attachments: readonly AttachRequest[];
  /** Descriptors of this process that the monitor keeps from before the process starts; default: none. They may be closed here when `start` has settled. */
  readonly keep?: readonly KeptDescriptor[];
}

export type Rootfs =
  | { readonly kind: 'directory'; readonly path: string }
  /** `lowers` topmost first, relative to `lowerBase`; `target` is an empty host directory, used as a mount point in the child's namespace only. */
  | {
      readonly kind: 'overlay';
      readonly lowerBase: string;
      readonly lowers: readonly string[];
      readonly upper: string;
      readonly work: string;
      readonly target: string;
      /** Directories below which all of these lie, links followed; default: `lowerBase` and what `upper` and `work` are in. */
      readonly trees?: readonly string[];
      /** What is written need not survive a crash of the machine: the process's own syncs wait for no disk. Linux 5.10. */
      readonly volatile?: true;
    };

/** json-file, rotated by rename: FILE, FILE.1, … FILE.(maxFiles-1). */
export interface LogTarget {
  readonly path: string;
  /** Bytes after which the file is rotated; 0: never. */
  readonly maxSizeBytes: number;
  readonly maxFiles: number;
}

/** `null`: /dev/null. `once`: closed when the first attached client's stdin ends. `open`: stays open for later clients. */
export type StdinMode = 'null' | 'once' | 'open';

export interface AttachRequest {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/**
 * A stream connection. Readable side: Docker's multiplexed frames ([stream,0,0,0,len be32] + bytes), or raw bytes with a terminal.
 * Writable side: raw stdin; `end()` is the half-close. Destroying it detaches and changes nothing for the process.
 */
export type StdioStream = Duplex;

export interface RunningContainer {
  readonly id: ContainerId;
  readonly pid: number;
  readonly startedAt: Date;
  /** In the order of `StartRequest.attachments`; empty after `adopt`. */
  readonly attached: readonly StdioStream[];
  /** Settles once. `lost`: nobody knows; callers report 255, "exit status lost". */
  readonly exited: Promise<ExitStatus | 'lost'>;
  /** Bytes of the current log file and how often it was rotated; follow it with `onLog`. */
  readonly logPosition: LogPosition;
  onLog(listener: (position: LogPosition) => void): () => void;
  attach(request: AttachRequest): Promise<StdioStream>;
  exec(request: ExecRequest): Promise<RunningExec>;
  /** Sends to init; `all` to every process of the container (cgroup). Resolves when the kernel has it; ESRCH is a `conflict`. */
  kill(signal: number, scope: 'init' | 'all'): Promise<void>;
  resize(rows: number, columns: number): Promise<void>;
  /** Closes the container's stdin (the last writer of it left and it was `once`). */
  closeStdin(): Promise<void>;
  /** While its monitor has not answered since its adoption: settles when it has, or the container ended. Until then its execs are unknown, and requests fail. */
  readonly answered?: Promise<void> | null;
  /** Execs still running from before a restart of the daemon. */
  readonly adoptedExecs: readonly RunningExec[];
  /** What the monitor keeps: its pid (0: it is of a version that keeps nothing) and its descriptor numbers, to be pulled by pidfd_getfd. */
  readonly kept: KeptByMonitor;
  /**
   * The new whole set: labels not kept yet are pulled from this process, labels no longer listed are closed; a label already kept stays what it is, whatever
   * number is given with it. All or nothing.
   */
  keep(descriptors: readonly KeptDescriptor[]): Promise<void>;
  /** The exit is stored: the monitor may leave, and what it keeps is closed. */
  release(): Promise<void>;
}

export interface KeptByMonitor {
  readonly pid: number;
  readonly descriptors: readonly KeptDescriptor[];
}

export interface LogPosition {
  readonly generation: number;
  readonly sizeBytes: number;
}

export interface ExecRequest {
  /** 64 hex digits. */
  readonly id: string;
  /** The container's spec with `process` replaced by that of the exec. */
  readonly spec: RuntimeSpec;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export interface RunningExec {
  readonly id: string;
  readonly pid: number;
  /** Null when nothing is attached or after an adoption. */
  readonly stream: StdioStream | null;
  /** Known before the stream ends. */
  readonly exited: Promise<number | 'lost'>;
  resize(rows: number, columns: number): Promise<void>;
}

export interface ExitStatus {
  /** 0–255; 128+n when a signal ended it. */
  readonly code: number;
  readonly at: Date;
  readonly oomKilled: boolean;
  /** Set when the status is not the process's own: "monitor died". */
  readonly note: string | null;
}

/** The process could not be started. `exitCode` follows Docker: 127 not found, 126 not executable, 128 otherwise. */
export class StartError extends EngineError {
  override readonly name = 'StartError';
  readonly exitCode: 126 | 127 | 128;

  constructor(message: string, exitCode: 126 | 127 | 128, options: ConstructorParameters<typeof EngineError>[2] = {}) {
    super(exitCode === 128 ? 'system' : 'invalid', message, options);
    this.exitCode = exitCode;
  }
}
