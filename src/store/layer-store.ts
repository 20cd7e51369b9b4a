/**
 * The contract of unpacked layers.
 *
 * A layer's directory is named by its diffID when it does not depend on what is below it, else by the chain id of the layers up to it. Nothing is visible before every
 * digest agreed: unpacking goes to a temporary directory that is renamed at the end. Unpacking the same layer twice at the same time does the work once.
 * All work on bytes happens in worker threads.
 */
import type { ChainId, DiffId, Digest } from '../base/brand.ts';

export interface LayerStore {
  /**
   * Unpacks the layers of one image, bottom first, as far as they are not there yet; independent ones in parallel. Blobs that are still on their way are read as they grow,
   * and are compared with both digests whether or not their layer is there. `onUnpacked` is called for one after the other, bottom first.
   * Errors: `invalid` when a digest disagrees or the tar is hostile or over budget; nothing is left then.
   */
  unpack(
    layers: readonly LayerSource[],
    signal?: AbortSignal,
    onProgress?: (progress: UnpackProgress) => void,
    onUnpacked?: (layer: LayerSource) => void,
  ): Promise<readonly LayerRef[]>;
  /** Whether a blob holds the layer it is said to hold; for layers that are there, whose blob was not unpacked. `invalid` when not. */
  verify(layer: LayerSource, signal?: AbortSignal): Promise<void>;
  /** It needs no unpacking, whatever is below it. */
  has(layer: LayerSource): boolean;
  /** Where an image's layers are, for overlay: relative to `base`, topmost first, the init layer (see `init-layer.ts`) not included. */
  mountOrder(layers: readonly LayerRef[]): { readonly base: string; readonly lowers: readonly string[] };
  /** Removes directories that no `keep` names. */
  sweep(keep: ReadonlySet<string>): Promise<void>;
}

export interface LayerSource {
  /** In the blob store, compressed as it came. */
  readonly blob: Digest;
  readonly diffId: DiffId;
  /** Chain id up to and including this layer. */
  readonly chainId: ChainId;
  /** The blob is not in the blob store yet. */
  readonly incoming?: IncomingBlob;
}

/** A blob that is being fetched. */
export interface IncomingBlob {
  /** Its file, whose first bytes are there; while it grows it may begin again. */
  readonly path: string;
  /** See `blob-growth.ts`. */
  readonly growth: SharedArrayBuffer;
  /** When it is whole. */
  readonly sizeBytes: number;
  /** All bytes are there; rejects with why they will not be. */
  whole(): Promise<void>;
  /** Its bytes are not those of its digest: they come once more from the start, or the promise is rejected because they did already. */
  again(epoch: number, found: string): Promise<void>;
  /** Its bytes were seen to be those of its digest, and to hold this layer. */
  proved(diffId: DiffId): void;
  hasProved(diffId: DiffId): boolean;
}

export interface LayerRef {
  readonly diffId: DiffId;
  /** Name of the directory below the layer store's base. */
  readonly directory: string;
  /** Sum of the sizes of regular files, as Docker counts a layer's size. */
  readonly sizeBytes: number;
}

export interface UnpackProgress {
  readonly blob: Digest;
  readonly doneBytes: number;
  readonly totalBytes: number;
}
