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
import type { IncomingBlob, LayerRef, LayerSource, UnpackProgress } from '../store/layer-store.ts';
import type { Lease } from '../store/leases.ts';
import type { ImageRecord, ImageTarget, RecordChange } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { knownLayerBlobs, pairOf } from './known-layer-blobs.ts';

export interface IncomingImage {
  readonly config: Descriptor;
  readonly configBytes: Uint8Array;
  readonly target: ImageTarget;
  /** Bottom first, committed or on their way. */
  readonly layerBlobs: readonly Digest[];
  readonly incoming?: ReadonlyMap<Digest, IncomingBlob>;
  readonly parent?: ImageId | null;
  /** Blobs that were just made of the very layers they are said to hold. */
  readonly proved?: ReadonlySet<Digest>;
}

export interface AdmitOptions {
  /** Canonical tags (or digest references) that name it from now on. */
  readonly references: readonly string[];
  /** The references are a registry's word: they change nothing about when somebody tagged the image. */
  readonly isPull?: boolean;
  /** For error messages. */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
  readonly onLayerProgress?: (source: LayerSource, progress: UnpackProgress) => void;
  readonly onLayer?: (source: LayerSource) => void;
  /** Every digest agreed; the record comes next. */
  readonly beforeRecord?: () => Promise<void>;
}

export interface Admitted {
  readonly record: ImageRecord;
  /** Tags that named another image until now. */
  readonly moved: readonly { readonly reference: string; readonly from: ImageId }[];
}

export async function admitImage(store: ImageStore, image: IncomingImage, options: AdmitOptions): Promise<Admitted> {
  const { signal } = options;
  const config = parseImageConfig(image.configBytes, options.what);
  const sources = layerSources(config, image, options.what);
  return await store.sweeper.whileArriving(async () => {
    const bySource = new Map(sources.map((source) => [source.blob, source]));
    const read = new Set<LayerSource>();
    const onProgress = (progress: UnpackProgress) => {
      const source = bySource.get(progress.blob);
      if (source === undefined) return;
      read.add(source);
      options.onLayerProgress?.(source, progress);
    };
    const layers = await store.layers.unpack(sources, signal, onProgress, options.onLayer);
    await verifyUnread(
      store,
      sources.filter((source) => !read.has(source) && source.incoming === undefined && image.proved?.has(source.blob) !== true),
      signal,
    );
    signal?.throwIfAborted();
    await options.beforeRecord?.();
    return await store.exclusive(() => record(store, image, config, layers, options));
  });
}

/** One whose layer is there already is not unpacked again, and its bytes would come out of a `save` or push unseen. */
async function verifyUnread(store: ImageStore, sources: readonly LayerSource[], signal: AbortSignal | undefined): Promise<void> {
  const unknown = sources.filter(({ blob, diffId }) => (blob as string) !== (diffId as string));
  if (unknown.length === 0) return;
  const known = await knownLayerBlobs(store, unknown);
  for (const source of unknown) if (!known.has(pairOf(source))) await store.layers.verify(source, signal);
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

export function layerSources(
  config: ImageConfig,
  { layerBlobs: blobs, incoming }: Pick<IncomingImage, 'layerBlobs' | 'incoming'>,
  what: string,
): readonly LayerSource[] {
  const diffIds = config.rootfs.diff_ids;
  if (config.os !== 'linux') throw invalid(`image operating system ${JSON.stringify(config.os)} cannot be used on this platform (${what})`);
  if (diffIds.length !== blobs.length) {
    throw invalid(`invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${blobs.length} (${what})`);
  }
  const chain = chainIds(diffIds);
  return diffIds.map((diffId, index) => {
    const [blob, chainId] = [blobs[index], chain[index]];
    if (blob === undefined || chainId === undefined) throw invalid(`layer ${index} of ${what} is missing`);
    const coming = incoming?.get(blob);
    return coming === undefined ? { blob, diffId, chainId } : { blob, diffId, chainId, incoming: coming };
  });
}

async function record(
  store: ImageStore,
  image: IncomingImage,
  config: ImageConfig,
  layers: readonly LayerRef[],
  { references, isPull = false }: AdmitOptions,
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
  for (const reference of references) changes.push({ kind: 'refer', entry: { reference, id, target }, at: isPull ? null : at });
  await records.apply(changes);
  return { record: records.get(id) ?? added, moved };
}
