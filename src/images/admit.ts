/**
 * The one way into the catalogue, for every image that arrives: load, import, embedded ones; pull, commit and build too.
 *
 *     blobs committed under a lease → config checked → layers unpacked (diffIDs verified) → record and tags in one commit
 *
 * The image is visible after the last step only. When a step fails, the caller's lease is released and a sweep takes what was brought.
 */
import type { Digest, ImageId } from '../base/brand.ts';
import { invalid } from '../base/errors.ts';
import { chainIds } from '../oci/digest.ts';
import { type ImageConfig, parseImageConfig } from '../oci/image-config.ts';
import { type Descriptor, encodeManifest, mediaTypes } from '../oci/manifest.ts';
import type { LayerRef, LayerSource, UnpackProgress } from '../store/layer-store.ts';
import type { Lease } from '../store/leases.ts';
import type { ImageRecord, ImageTarget, RecordChange } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { verifyLayerBlob } from './verify-layer-blob.ts';

export interface IncomingImage {
  readonly config: Descriptor;
  readonly configBytes: Uint8Array;
  readonly target: ImageTarget;
  /** Bottom first, committed. */
  readonly layerBlobs: readonly Digest[];
  readonly parent?: ImageId | null;
}

export interface AdmitOptions {
  /** Canonical tags (or digest references) that name it from now on. */
  readonly references: readonly string[];
  /** For error messages. */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
  readonly onLayerProgress?: (source: LayerSource, progress: UnpackProgress) => void;
}

export interface Admitted {
  readonly record: ImageRecord;
  /** Tags that named another image until now. */
  readonly moved: readonly { readonly reference: string; readonly from: ImageId }[];
}

export async function admitImage(store: ImageStore, image: IncomingImage, options: AdmitOptions): Promise<Admitted> {
  const config = parseImageConfig(image.configBytes, options.what);
  const sources = layerSources(config, image.layerBlobs, options.what);
  return await store.sweeper.whileArriving(async () => {
    const bySource = new Map(sources.map((source) => [source.blob, source]));
    const unpacked = new Set<LayerSource>();
    const layers = await store.layers.unpack(sources, options.signal, (progress) => {
      const source = bySource.get(progress.blob);
      if (source === undefined) return;
      unpacked.add(source);
      options.onLayerProgress?.(source, progress);
    });
    if (!isKnown(store, image)) {
      for (const source of sources.filter((each) => !unpacked.has(each)))
        await verifyLayerBlob(source, store.blobs.path(source.blob), options.signal);
    }
    options.signal?.throwIfAborted();
    return await store.exclusive(() => record(store, image, config, layers, options.references));
  });
}

/** Everything that its manifest names was verified when it came. */
function isKnown({ records }: ImageStore, { config, target }: IncomingImage): boolean {
  return records.get(config.digest as string as ImageId)?.targets.has(target.descriptor.digest) === true;
}

/** Writes the manifest of an image that came without one: the same config and layers always get the same. */
export async function makeManifest(
  store: ImageStore,
  lease: Lease,
  config: Descriptor,
  layers: readonly Descriptor[],
): Promise<ImageTarget> {
  const { digest, sizeBytes } = await store.blobs.write([encodeManifest(config, layers)], { lease, what: 'manifest' });
  const manifest = { mediaType: mediaTypes.ociManifest, digest, size: sizeBytes };
  return { descriptor: manifest, manifest, blobs: [digest, config.digest, ...layers.map((layer) => layer.digest)] };
}

function layerSources(config: ImageConfig, blobs: readonly Digest[], what: string): readonly LayerSource[] {
  const diffIds = config.rootfs.diff_ids;
  if (config.os !== 'linux') throw invalid(`image operating system ${JSON.stringify(config.os)} cannot be used on this platform (${what})`);
  if (diffIds.length !== blobs.length) {
    throw invalid(`invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${blobs.length} (${what})`);
  }
  const chain = chainIds(diffIds);
  return diffIds.map((diffId, index) => {
    const [blob, chainId] = [blobs[index], chain[index]];
    if (blob === undefined || chainId === undefined) throw invalid(`layer ${index} of ${what} is missing`);
    return { blob, diffId, chainId };
  });
}

async function record(
  store: ImageStore,
  image: IncomingImage,
  config: ImageConfig,
  layers: readonly LayerRef[],
  references: readonly string[],
): Promise<Admitted> {
  const { records } = store;
  const id = image.config.digest as string as ImageId;
  const target = image.target.descriptor.digest;
  const at = new Date();
  const known = records.get(id);
  const added: ImageRecord = {
    id,
    config,
    firstTarget: target,
    targets: new Map([[target, image.target]]),
    layers,
    parent: image.parent ?? null,
    createdAt: at,
    lastTagTime: null,
  };
  const changes: RecordChange[] = [];
  if (!known) changes.push({ kind: 'add', record: added });
  else if (!known.targets.has(target) && references.length > 0) changes.push({ kind: 'add-target', id, target: image.target });
  const moved = references.flatMap((reference) => {
    const before = records.reference(reference);
    return before && before.id !== id ? [{ reference, from: before.id }] : [];
  });
  for (const reference of references) changes.push({ kind: 'refer', entry: { reference, id, target }, at });
  await records.apply(changes);
  return { record: records.get(id) ?? added, moved };
}
