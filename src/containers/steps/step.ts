/**
 * The process of one step of a build: like that of a container, but with neither record nor name. It has the isolation of `run`, a root of layers and one directory for
 * what it writes, and nothing of it is left when it has ended: no process, mount, cgroup, network or file outside that directory.
 */
import type { Duplex } from 'node:stream';
import type { Finding } from '../../base/finding.ts';
import type { DeviceRequest } from '../../devices/device-request.ts';

export interface Step {
  /** 64 hex digits. */
  readonly id: string;
  /** Layers, relative to `base`, topmost first. */
  readonly lowers: { readonly base: string; readonly lowers: readonly string[] };
  /** What it writes; both on one file system. */
  readonly upper: string;
  readonly work: string;
  readonly argv: readonly string[];
  readonly environment: readonly string[];
  readonly cwd: string;
  /** `name`, `uid`, `name:group`; empty: root. */
  readonly user: string;
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  /** Paths (`/dev/fuse`) and names (`vendor.com/class=name`), as `StepRunner.findDevices` says. What is not required and cannot be given is left out. */
  readonly devices: readonly { readonly name: string; readonly required: boolean }[];
  readonly mounts: readonly StepMount[];
  readonly settings: StepSettings;
}

/** Targets are absolute. Sources are host paths that exist. */
export type StepMount =
  /** Directories of a tree, topmost first. What is written to a writable one is thrown away. `subpath`: below its root, links resolved inside it. */
  | {
      readonly kind: 'tree';
      readonly target: string;
      readonly directories: readonly string[];
      readonly subpath: string;
      readonly writable: boolean;
    }
  /** `subpath` as above. */
  | {
      readonly kind: 'directory';
      readonly target: string;
      readonly source: string;
      readonly subpath: string;
      readonly writable: boolean;
    }
  | { readonly kind: 'file'; readonly target: string; readonly content: Uint8Array; readonly mode: number }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes: number | null }
  /** In memory, on no disk and in no swap. */
  | ({ readonly kind: 'secret'; readonly target: string; readonly content: Uint8Array } & Ownership)
  /** A Unix socket; each connection to it is one of `connect`. */
  | ({ readonly kind: 'socket'; readonly target: string; readonly connect: () => Promise<Duplex> } & Ownership);

export interface Ownership {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface StepSettings {
  /** Instead of the default bridge. */
  readonly networkName: string | null;
  /** `name:address`, `name:host-gateway` */
  readonly extraHosts: readonly string[];
  readonly hostname: string | null;
  readonly shmSizeBytes: number | null;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string | null;
  readonly memoryBytes: number | null;
  readonly memorySwapBytes: number | null;
  readonly cpuShares: number | null;
  readonly cpuPeriod: number | null;
  readonly cpuQuota: number | null;
  readonly cpus: string | null;
  readonly memoryNodes: string | null;
  /** `--gpus`. */
  readonly deviceRequests?: readonly DeviceRequest[];
}

export type StepOutput = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;

export interface StepEnd {
  readonly exitCode: number;
  readonly oomKilled: boolean;
}

/** A device of this machine that a RUN asks for. */
export interface FoundDevice {
  /** Its path, or its name. */
  readonly name: string;
  /** As it was asked for; it may have found several. */
  readonly word: string;
  readonly required: boolean;
  /** Its description leaves it to every build. */
  readonly isOpen: boolean;
}

export interface StepRunner {
  /** What words of `RUN --device` mean here. Rejects with an `invalid` when something that is required is nothing. */
  findDevices(wanted: Step['devices']): Promise<readonly FoundDevice[]>;
  /**
   * Resolves when the process has ended and all of its output was given to `output`. Rejects with a `StartError` when it could not be started, with an `invalid` for what
   * cannot be asked, and with the signal's reason after the process was killed.
   */
  run(step: Step, output: StepOutput, signal: AbortSignal): Promise<StepEnd>;
}

/** What containers have to know of steps: they share the runtime's directories. */
export interface StepsBeside {
  /** It runs, is being started, or is being taken down. */
  has(id: string): boolean;
  /** Monitors' sockets are named by the first 16 digits of the id. */
  serves(socketName: string): boolean;
  audit(): Promise<readonly Finding[]>;
}
