/** What the worker threads of layers do. Paths are of the host; `directory` is the work's own, on the file system of the stores, and holds nothing afterwards when the work failed. */
import type { SealJob } from './seal-upper.ts';

export type LayerJob =
  /** A `LayerContent`; then `directory` has `layer` (for `OpenLayerStore.adopt`) and `layer.tar`. */
  | (SealJob & { readonly kind: 'seal'; readonly directory: string })
  /** With everything in them. */
  | { readonly kind: 'remove'; readonly root: string; readonly names: readonly string[] };
