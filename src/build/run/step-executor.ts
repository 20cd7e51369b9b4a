/**
 * Runs the process of one RUN in isolation, on a root that is the layers below and one directory for what it writes. Handed in by the daemon, which has runtimes and networks; a fake one
 * tests everything above it. Nothing of a step outlives it: processes, mounts, cgroup, network; what a killed daemon left is removed by the next one.
 */
import type { Duplex } from 'node:stream';
import type { Platform } from '../../oci/platform.ts';
import type { RunSettings } from '../build-request.ts';
import type { OutputSink } from '../solve/solver.ts';

export interface StepExecutor {
  /** Null: it can run here (its own, or a handler of binfmt_misc is registered); else why not, and what to do. */
  whyNot(platform: Platform): string | null;
  /**
   * Resolves when the process has ended and everything it wrote was given to `output`. Rejects with a `StartError` or an `invalid` when it cannot be started (its user is unknown, its
   * program is missing); when `signal` aborts, the process is killed first.
   */
  run(request: StepRequest, output: OutputSink, signal: AbortSignal): Promise<StepEnd>;
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
  /** Both on one file system, below `directory`, which is the step's own. */
  readonly directory: string;
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
  readonly devices: readonly { readonly name: string; readonly required: boolean }[];
  readonly mounts: readonly StepMount[];
  readonly settings: RunSettings;
}

/** Targets are absolute. Sources are host paths that exist. */
export type StepMount =
  /** `directories`: a tree, topmost first; one or more. What is written to a writable one goes to `upper`, which is thrown away. */
  | {
      readonly kind: 'tree';
      readonly target: string;
      readonly directories: readonly string[];
      /** Below their root, links resolved inside it; empty: all. */
      readonly subpath: string;
      readonly writable: { readonly upper: string; readonly work: string } | null;
    }
  | { readonly kind: 'directory'; readonly target: string; readonly source: string; readonly writable: boolean }
  | { readonly kind: 'file'; readonly target: string; readonly source: string }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes: number | null }
  /** On a tmpfs of its own: never on a disk. */
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
