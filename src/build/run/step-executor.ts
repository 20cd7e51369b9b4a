/**
 * Runs the process of one RUN in isolation, on a root that is the layers below and one directory for what it writes. Handed in by the daemon, which has runtimes and networks; a fake one
 * tests everything above it. Nothing of a step outlives it: processes, mounts, cgroup, network; what a killed daemon left is removed by the next one.
 */
import type { Duplex } from 'node:stream';
import { EngineError } from '../../base/errors.ts';
import type { Platform } from '../../oci/platform.ts';
import type { RunSettings } from '../build-request.ts';
import type { RunOperation } from '../plan/operation.ts';
import type { OutputSink } from '../solve/solver.ts';

export interface StepExecutor {
  /** Null: it can run here (its own, or a handler of binfmt_misc is registered); else why not, and what to do. */
  whyNot(platform: Platform): string | null;
  /** What words of `RUN --device` mean on this machine. Rejects with an `invalid` when something that is required is nothing. */
  findDevices(wanted: RunOperation['devices']): Promise<readonly FoundDevice[]>;
  /**
   * Resolves when the process has ended and everything it wrote was given to `output`. Rejects with a `StepStartError` or an `invalid` when it cannot be started (its program is
   * missing, its user is unknown); when `signal` aborts, the process is killed first.
   */
  run(request: StepRequest, output: OutputSink, signal: AbortSignal): Promise<StepEnd>;
}

export interface FoundDevice {
  /** `/dev/fuse`, `vendor.com/class=name` */
  readonly name: string;
  /** As it was asked for; it may have found several. */
  readonly word: string;
  readonly required: boolean;
  /** Nobody's leave is needed for it. */
  readonly isOpen: boolean;
}

/** The process could not be started: 127, its program is not there; 126, it cannot be run; 128, anything else. */
export class StepStartError extends EngineError {
  override readonly name = 'StepStartError';
  readonly exitCode: 126 | 127 | 128;

  constructor(message: string, exitCode: 126 | 127 | 128, cause: unknown) {
    super('invalid', message, { cause });
    this.exitCode = exitCode;
  }
}

export interface StepEnd {
  readonly exitCode: number;
  readonly oomKilled: boolean;
}

export interface StepRequest {
  /** 64 hex digits. */
  readonly id: string;
  /** Relative to `base` (or absolute), topmost first. */
  readonly lowers: { readonly base: string; readonly lowers: readonly string[] };
  /** What it writes; both on one file system. */
  readonly upper: string;
  readonly work: string;
  readonly argv: readonly string[];
  /** Complete but for what the executor knows: HOME. */
  readonly environment: readonly string[];
  readonly cwd: string;
  /** As USER says it. */
  readonly user: string;
  readonly platform: Platform;
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  /** As `findDevices` has them. */
  readonly devices: readonly { readonly name: string; readonly required: boolean }[];
  readonly mounts: readonly StepMount[];
  readonly settings: RunSettings;
}

/** Targets are absolute. Sources are host paths that exist. */
export type StepMount =
  /** `directories`: a tree, topmost first; one or more. What is written to a writable one is thrown away. */
  | {
      readonly kind: 'tree';
      readonly target: string;
      readonly directories: readonly string[];
      /** Below their root, links resolved inside it; empty: all. */
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
  /** Read-only. */
  | { readonly kind: 'file'; readonly target: string; readonly content: Uint8Array; readonly mode: number }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes: number | null }
  /** In memory of its own: on no disk and in no swap. */
  | {
      readonly kind: 'secret';
      readonly target: string;
      readonly content: Uint8Array;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  /** A Unix socket in the container; each connection to it is one of `connect`. */
  | {
      readonly kind: 'socket';
      readonly target: string;
      readonly connect: () => Promise<Duplex>;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };
