/** What the worker threads of layers do. Paths are of the host; `directory` is the work's own, on the file system of the stores. */
import type { CopyJob } from './copy-files.ts';
import type { ExportJob } from './export-files.ts';
import type { DirectoryJob } from './make-directory.ts';
import type { SealJob } from './seal-upper.ts';
import type { SelectJob } from './select-files.ts';
import type { SquashJob } from './squash-layers.ts';

/** A `LayerContent`; then `directory` has `layer` (for `OpenLayerStore.adopt`) and `layer.tar`. */
export type LayerMakingJob =
  | (SealJob & { readonly kind: 'seal'; readonly directory: string })
  | (CopyJob & { readonly kind: 'copy' })
  | (DirectoryJob & { readonly kind: 'directory' })
  | (SquashJob & { readonly kind: 'squash' });

export type LayerJob =
  | LayerMakingJob
  /** A `Selection`. */
  | (SelectJob & { readonly kind: 'select' })
  | (ExportJob & { readonly kind: 'export' })
  /** With everything in them. */
  | { readonly kind: 'remove'; readonly root: string; readonly names: readonly string[] };
