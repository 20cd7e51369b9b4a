/**
 * Layers as an output wants them: as they are, or compressed. Those of base images keep their bytes unless `force` says otherwise; only their media type changes, when it is Docker's name for
 * the same format, as no manifest mixes the two families.
 */
import { decompress } from '../../archive/compression.ts';
import type { DiffId, Digest } from '../../base/brand.ts';
import { packed } from '../../images/layer-compression.ts';
import { type Descriptor, mediaTypes } from '../../oci/manifest.ts';
import type { BlobStore } from '../../store/blobs.ts';
import type { Lease } from '../../store/leases.ts';
import type { LayerCompression } from '../build-request.ts';

type Packing = 'uncompressed' | 'gzip' | 'zstd';

/** OCI's names of Docker's types. */
const ociNames: Readonly<Record<string, string>> = {
  [mediaTypes.dockerLayer]: mediaTypes.ociLayer,
  [mediaTypes.dockerLayerGzip]: mediaTypes.ociLayerGzip,
  'application/vnd.docker.image.rootfs.diff.tar.zstd': mediaTypes.ociLayerZstd,
  'application/vnd.docker.image.rootfs.foreign.diff.tar': 'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip': 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
};

const packings: Readonly<Record<string, Packing>> = {
  [mediaTypes.ociLayer]: 'uncompressed',
  [mediaTypes.ociLayerGzip]: 'gzip',
  [mediaTypes.ociLayerZstd]: 'zstd',
};

const typeOf: Readonly<Record<Packing, string>> = {
  uncompressed: mediaTypes.ociLayer,
  gzip: mediaTypes.ociLayerGzip,
  zstd: mediaTypes.ociLayerZstd,
};

const remembered = 1000;

export interface LayerIn {
  readonly descriptor: Descriptor;
  readonly diffId: DiffId;
}

export class LayerBlobs {
  readonly #blobs: BlobStore;
  /** By diffID, packing and level: what was made since the daemon started, as long as it is there. */
  readonly #made = new Map<string, Descriptor>();

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** Held by the lease. `isNew`: its bytes were made here, of the layer. */
  async as(
    layer: LayerIn,
    compression: LayerCompression,
    lease: Lease,
    signal: AbortSignal,
  ): Promise<{ descriptor: Descriptor; isNew: boolean }> {
    const { descriptor } = layer;
    lease.hold(descriptor.digest);
    const plain = { ...descriptor, mediaType: ociNames[descriptor.mediaType] ?? descriptor.mediaType };
    const from = packings[plain.mediaType];
    const to = wantedPacking(layer, compression, from);
    if (from === undefined || to === null) return { descriptor: plain, isNew: false };
    return { descriptor: await this.#repacked(layer, from, to, compression.level, lease, signal), isNew: true };
  }

  async #repacked(
    layer: LayerIn,
    from: Packing,
    to: Packing,
    level: number | null,
    lease: Lease,
    signal: AbortSignal,
  ): Promise<Descriptor> {
    const key = `${layer.diffId} ${to} ${level}`;
    const made = this.#made.get(key);
    if (made !== undefined) {
      lease.hold(made.digest);
      if (this.#blobs.has(made.digest)) return made;
    }
    const plain = this.#plain(layer, from, lease);
    const source = to === 'uncompressed' ? plain : packed(plain, { kind: to, level });
    const expected = to === 'uncompressed' ? { expectedDigest: layer.diffId as string as Digest } : {};
    const { digest, sizeBytes } = await this.#blobs.write(source, { lease, signal, what: `the layer ${layer.diffId}`, ...expected });
    const descriptor = { mediaType: typeOf[to], digest, size: sizeBytes };
    this.#made.set(key, descriptor);
    if (this.#made.size > remembered) for (const oldest of this.#made.keys().take(1)) this.#made.delete(oldest);
    return descriptor;
  }

  #plain({ descriptor, diffId }: LayerIn, from: Packing, lease: Lease): AsyncIterable<Uint8Array> {
    if (from === 'uncompressed') return this.#blobs.stream(descriptor.digest);
    const plain = diffId as string as Digest;
    lease.hold(plain);
    return this.#blobs.has(plain) ? this.#blobs.stream(plain) : decompress(this.#blobs.stream(descriptor.digest));
  }
}

/** Null: as it is. A new layer is one whose blob is its plain tar. */
function wantedPacking(
  { descriptor, diffId }: LayerIn,
  { kind, level, force }: LayerCompression,
  from: Packing | undefined,
): Packing | null {
  const wanted = kind ?? (level === null ? null : 'gzip');
  if (wanted === null || from === undefined) return null;
  const isPlain = (descriptor.digest as string) === (diffId as string);
  if (!isPlain && !force) return null;
  return wanted === from && (isPlain || level === null) ? null : wanted;
}
