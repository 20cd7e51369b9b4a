/**
 * What a build does, as a graph: every operation makes a root file system (or hands one on) from those of its inputs. Equal operations are one, whichever stage or build asks.
 *
 *     image ─► run ─► copy ◄─ run ◄─ image          a stage is the operation it ended with, and a config
 *                      ▲
 *              context ┘
 *
 * Nothing here is looked up any more: variables are expanded, names of stages and contexts are their operations. Numbers are in the unit they say; owners and users stay text,
 * because their names are those of the root file system that is there when the operation runs.
 */

import type { Place } from '../../dockerfile/source-range.ts';
import type { Platform } from '../../oci/platform.ts';
import type { LayerRef } from '../../store/layer-store.ts';

export type Operation = ScratchOperation | ImageOperation | ContextOperation | RunOperation | CopyOperation | DirectoryOperation;

export interface ScratchOperation {
  readonly kind: 'scratch';
}

export interface ImageOperation {
  readonly kind: 'image';
  /** As it was named, for people. */
  readonly reference: string;
  /** That was asked for. */
  readonly platform: Platform;
  readonly layers: readonly LayerRef[];
}

/** Files of the client, or of a named context. */
export interface ContextOperation {
  readonly kind: 'context';
  /** Empty: the build's own. */
  readonly name: string;
}

export interface Step {
  /** `[build 2/4] RUN make` */
  readonly title: string;
  readonly place: Place;
  /** Name of its stage, in lower case, or `stage-N`. */
  readonly stage?: string;
  /** Of RUN: which names of its environment are build arguments. */
  readonly argumentNames?: readonly string[];
  /** Of RUN: the stage's SHELL, for whoever looks into what was there before it. */
  readonly shell?: readonly string[];
}

export interface RunOperation {
  readonly kind: 'run';
  readonly step: Step;
  readonly parent: Operation;
  /** Seconds since 1970: no file of the layer is younger. */
  readonly epoch: number;
  readonly argv: readonly string[];
  /** `NAME=value`: ENV, declared ARGs. */
  readonly environment: readonly string[];
  /** Seen by the process, no part of what it is: proxies. */
  readonly hiddenEnvironment: readonly string[];
  readonly cwd: string;
  /** `name`, `uid`, `name:group`; empty: root. */
  readonly user: string;
  readonly platform: Platform;
  readonly mounts: readonly RunMount[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly devices: readonly { readonly name: string; readonly required: boolean }[];
  /** Bodies that start with `#!`: read-only, executable, below `/dev/pipes`. */
  readonly scripts: readonly { readonly name: string; readonly body: string }[];
}

export type RunMount =
  | {
      readonly type: 'bind';
      readonly target: string;
      readonly from: Operation;
      readonly source: string;
      /** What is written is thrown away. */
      readonly writable: boolean;
    }
  | {
      readonly type: 'cache';
      readonly target: string;
      readonly id: string;
      readonly sharing: 'shared' | 'private' | 'locked';
      /** What it starts with; null: nothing. */
      readonly from: Operation | null;
      readonly source: string;
      readonly writable: boolean;
      /** Of its root, when it is made. */
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | { readonly type: 'tmpfs'; readonly target: string; readonly sizeBytes: number | null }
  | {
      readonly type: 'secret';
      readonly id: string;
      /** Null: only in the environment. */
      readonly target: string | null;
      readonly variable: string | null;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly type: 'ssh';
      readonly id: string;
      readonly target: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

export interface CopyOperation {
  readonly kind: 'copy';
  readonly step: Step;
  readonly parent: Operation;
  /** Seconds since 1970: the time of every file copied. */
  readonly epoch: number;
  readonly sources: readonly CopyInput[];
  /** Absolute; a `/` at its end says that it is a directory. */
  readonly destination: string;
  /** `user[:group]`; null: 0:0 from a context, the source's own from a stage. */
  readonly owner: string | null;
  readonly mode: ModeChange | null;
  /** Patterns of `--exclude`, in `.dockerignore`'s language, relative to each source. */
  readonly excludes: readonly string[];
  /** Keep the source's path below the destination. */
  readonly parents: boolean;
  /** Copied to an empty tree and put on top: what is below counts for the result, and neither for the layer nor for its key. */
  readonly link: boolean;
}

export type CopyInput =
  | { readonly kind: 'path'; readonly from: Operation; readonly pattern: string; readonly unpack: boolean }
  | { readonly kind: 'file'; readonly name: string; readonly body: string }
  | { readonly kind: 'url'; readonly url: string; readonly checksum: string | null; readonly unpack: boolean }
  | { readonly kind: 'git'; readonly url: string; readonly checksum: string | null; readonly keepGitDirectory: boolean };

/** `0755`, or `u=rwX,go=rX`, which reaches copied entries only. */
export type ModeChange =
  | { readonly kind: 'octal'; readonly mode: number }
  | { readonly kind: 'symbolic'; readonly clauses: readonly ModeClause[] };

export interface ModeClause {
  readonly who: string;
  readonly operator: '+' | '-' | '=';
  readonly permissions: string;
}

/** Made where it is missing, with the parents that are. */
export interface DirectoryOperation {
  readonly kind: 'directory';
  readonly step: Step;
  readonly parent: Operation;
  readonly epoch: number;
  readonly path: string;
  readonly owner: string;
}

/** All that an operation reads from. */
export function inputsOf(operation: Operation): readonly Operation[] {
  switch (operation.kind) {
    case 'scratch':
    case 'image':
    case 'context':
      return [];
    case 'directory':
      return [operation.parent];
    case 'run':
      return [operation.parent, ...operation.mounts.flatMap((mount) => ('from' in mount && mount.from !== null ? [mount.from] : []))];
    case 'copy':
      return [operation.parent, ...operation.sources.flatMap((source) => (source.kind === 'path' ? [source.from] : []))];
  }
}

/** All that these stand on, and they: inputs before what reads them. Equal graphs give equal lists. */
export function inOrder(roots: readonly Operation[]): readonly Operation[] {
  const seen = new Set<Operation>();
  const visit = (operation: Operation): void => {
    if (seen.has(operation)) return;
    for (const input of inputsOf(operation)) visit(input);
    seen.add(operation);
  };
  roots.forEach(visit);
  return [...seen];
}
