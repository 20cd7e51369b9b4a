/**
 * `--cache-to`: the records that a build used or made, as a cache that others can import. Layers are compressed once; the same records give the same manifest.
 *
 *     min   the steps of the image itself
 *     max   those of every stage
 */
import { digestOf } from '../../oci/digest.ts';
import { type Descriptor, encodeManifest, mediaTypes } from '../../oci/manifest.ts';
import type { BlobInfo, BlobStore, ByteSource } from '../../store/blobs.ts';
import type { Lease } from '../../store/leases.ts';
import type { CacheRecord } from '../cache/build-cache.ts';
import { type CacheDocument, type CacheDocumentMount, cacheConfigType, encodeCacheDocument } from './cache-document.ts';
import type { CacheTarget } from './cache-place.ts';

export interface ExportCacheRequest {
  readonly records: readonly CacheRecord[];
  readonly mounts: readonly ExportedMount[];
  readonly lease: Lease;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface ExportedMount {
  readonly id: string;
  /** A plain tar, in the blob store. */
  readonly blob: BlobInfo;
}

export interface ExportCacheParts {
  readonly blobs: BlobStore;
  /** The same bytes give the same bytes. */
  compress(plain: ByteSource): ByteSource;
}

export async function exportCache(
  target: CacheTarget,
  { records, mounts, lease, onProgress }: ExportCacheRequest,
  { blobs, compress }: ExportCacheParts,
  signal: AbortSignal,
): Promise<Descriptor> {
  const layers = new Layers();
  const document: CacheDocument = {
    records: records.map(({ key, layer, kind, description, blob }) => ({
      key,
      kind,
      description,
      diffId: layer.diffId,
      layer: layers.indexOf(blob),
    })),
    mounts: mounts.map(({ id, blob }) => ({
      id,
      diffId: blob.digest as string as CacheDocumentMount['diffId'],
      layer: layers.indexOf(blob),
    })),
  };
  const descriptors: Descriptor[] = [];
  for (const { digest } of layers.all) {
    signal.throwIfAborted();
    const packed = await blobs.write(compress(blobs.stream(digest) as AsyncIterable<Uint8Array>), {
      lease,
      what: `compressed layer ${digest}`,
      signal,
    });
    await target.putBlob({ ...packed, open: (offset) => blobs.streamFrom(packed.digest, offset) }, signal);
    descriptors.push({ mediaType: mediaTypes.ociLayerGzip, digest: packed.digest, size: packed.sizeBytes });
    onProgress?.(descriptors.length, layers.all.length);
  }
  const config = encodeCacheDocument(document);
  const configDescriptor = { mediaType: cacheConfigType, digest: digestOf(config), size: config.length };
  await target.putBlob(
    { digest: configDescriptor.digest, sizeBytes: config.length, open: (offset) => once(config.subarray(offset)) },
    signal,
  );
  const manifest = encodeManifest(configDescriptor, descriptors);
  await target.putManifest(mediaTypes.ociManifest, manifest, signal);
  return { mediaType: mediaTypes.ociManifest, digest: digestOf(manifest), size: manifest.length };
}

/** Of `inline`: indexes are those of the image's own layers, bottom first. Records whose layer the image does not have are left out. */
export function inlineDocument(records: readonly CacheRecord[], diffIds: readonly string[]): unknown {
  const entries = records.flatMap(({ key, kind, description, layer: { diffId } }) => {
    const layer = diffIds.lastIndexOf(diffId);
    return layer === -1 ? [] : [{ key, kind, description, diffId, layer }];
  });
  return JSON.parse(encodeCacheDocument({ records: entries, mounts: [] }).toString());
}

/** Each blob once, in the order of first use. */
class Layers {
  readonly #indexes = new Map<string, number>();
  readonly #blobs: BlobInfo[] = [];

  indexOf(blob: BlobInfo): number {
    const known = this.#indexes.get(blob.digest);
    if (known !== undefined) return known;
    this.#indexes.set(blob.digest, this.#blobs.length);
    this.#blobs.push(blob);
    return this.#blobs.length - 1;
  }

  get all(): readonly BlobInfo[] {
    return this.#blobs;
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
