/**
 * Makes layers of files: COPY, ADD, WORKDIR, and what a RUN wrote. In worker threads.
 *
 * A layer is what an overlay's upper directory would be, and its tar, which is a pure function of it: sorted by path, times clamped to the epoch, no names of owners, no attributes but
 * `security.capability` and `user.*`. The directory is adopted by the layer store as it is (nothing is unpacked again), the tar goes to the blob store (plain: its digest is the diffID).
 */
import type { Readable } from 'node:stream';
import type { Digest } from '../../base/brand.ts';
import type { LayerRef } from '../../store/layer-store.ts';
import type { Lease } from '../../store/leases.ts';
import type { CopyOperation, DirectoryOperation } from '../plan/operation.ts';
import type { OperationResult, Tree } from '../result.ts';

export interface LayerWork {
  /** What a COPY or bind mount would read of its source, by content: type, names, modes, owners, links, attributes, bytes; never times. */
  select(request: SelectRequest, signal: AbortSignal): Promise<Selection>;
  copy(request: CopyRequest, signal: AbortSignal): Promise<MadeLayer>;
  makeDirectory(operation: DirectoryOperation, parent: Tree, epoch: number, lease: Lease, signal: AbortSignal): Promise<MadeLayer>;
  /** A place for a RUN, with `/` as the tree has it: to be sealed, or thrown away. */
  workspace(parent: Tree): Promise<Workspace>;
  /** Of what a RUN wrote; the workspace is used up. */
  seal(workspace: Workspace, parent: Tree, epoch: number, lease: Lease, signal: AbortSignal): Promise<MadeLayer>;
  /** Several layers as one, for --squash. */
  squash(layers: readonly LayerRef[], below: Tree, epoch: number, lease: Lease, signal: AbortSignal): Promise<MadeLayer>;
  /** All files of a tree as one tar, for `-o tar` and `-o local`: `epoch` as every time. */
  exportTree(tree: Tree, epoch: number, prefix: string, signal: AbortSignal): Promise<Readable>;
}

export interface SelectRequest {
  readonly from: OperationResult;
  /** As a COPY names it (wildcards, links on the way followed inside the root), or a bind mount's source. */
  readonly pattern: string;
  readonly excludes: readonly string[];
  readonly parents: boolean;
  /** Wildcards are none: it is the source of a mount. */
  readonly literal: boolean;
}

export interface Selection {
  readonly digest: string;
  /** Paths and their digests, for `--explain`: at most a thousand. */
  readonly entries: readonly { readonly path: string; readonly digest: string }[];
  readonly isEmpty: boolean;
}

export interface CopyRequest {
  readonly operation: CopyOperation;
  /** Scratch with `link`. */
  readonly parent: Tree;
  /** In the order of `operation.sources`; `file` sources have none. `url` and `git` ones were fetched: their files. */
  readonly sources: readonly (OperationResult | null)[];
  /** Seconds since 1970: the time of everything copied. */
  readonly epoch: number;
  readonly lease: Lease;
}

export interface Workspace {
  readonly directory: string;
  readonly upper: string;
  readonly work: string;
  discard(): Promise<void>;
}

export interface MadeLayer {
  readonly layer: LayerRef;
  /** Of the plain tar. */
  readonly blob: { readonly digest: Digest; readonly sizeBytes: number };
}
