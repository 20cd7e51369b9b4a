/** What operations come to. Both kinds are read, never written, by whatever comes after. */
import type { LayerRef } from '../store/layer-store.ts';

export type OperationResult = Tree | ContextFiles;

/** A root file system: layers of a base image and of this build, bottom first. */
export interface Tree {
  readonly kind: 'tree';
  readonly layers: readonly LayerRef[];
  /** Of the content (the chain of diffIDs; empty: scratch): equal trees are equal, however they came to be. */
  readonly identity: string;
}

/** Files of a context, unpacked below the data root: owner 0:0, modes and times as they came. Nobody writes into its files in place, so that layers may share them by hard links. */
export interface ContextFiles {
  readonly kind: 'files';
  /** Host path of its root. */
  readonly directory: string;
  /** Host path of the digests of its files by path (see `context/context-index.ts`); null: they have to be read. */
  readonly index: string | null;
}
