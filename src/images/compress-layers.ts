/**
 * Images that were loaded, imported or committed have uncompressed layers. Registries and those who pull are better off with compressed ones, so a push first makes a manifest
 * with gzip layers: another target of the same image, kept, so that it is made once. The same layer always gives the same bytes.
 */
import type { Digest } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import { digestOf } from '../oci/digest.ts';
import { type Descriptor, encodeManifest, type ImageManifest, manifestLimitBytes, mediaTypes, parseManifest } from '../oci/manifest.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Lease } from '../store/leases.ts';
import { makeManifest } from './admit.ts';
import type { ImageRecord, ImageTarget } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { packed } from './layer-compression.ts';

const plainTypes: readonly string[] = [mediaTypes.ociLayer, mediaTypes.dockerLayer];

export async function readImageManifest(blobs: BlobStore, { mediaType, digest }: Descriptor): Promise<ImageManifest> {
  const manifest = parseManifest(await blobs.readSmall(digest, manifestLimitBytes), mediaType, `manifest ${digest}`);
  if (manifest.kind !== 'manifest') throw new EngineError('system', `${digest} is recorded as a manifest and is an index`);
  return manifest;
}

/** The target to push: this one, unless its manifest is one that was made here of uncompressed layers. */
export async function pushableTarget(store: ImageStore, record: ImageRecord, target: ImageTarget, lease: Lease): Promise<ImageTarget> {
  if (target.descriptor.digest !== target.manifest.digest) return target;
  const manifest = await readImageManifest(store.blobs, target.manifest);
  if (!manifest.layers.some(isPlain) || !isMadeHere(target, manifest)) return target;
  return (await compressedTarget(store, record, manifest)) ?? (await compress(store, record, manifest, lease));
}

/** A manifest that came from elsewhere keeps its digest, whatever its layers are. */
function isMadeHere({ manifest: { digest } }: ImageTarget, { config, layers }: ImageManifest): boolean {
  return digestOf(encodeManifest(config, layers)) === digest;
}

async function compressedTarget(store: ImageStore, record: ImageRecord, plain: ImageManifest): Promise<ImageTarget | null> {
  for (const target of record.targets.values()) {
    if (target.descriptor.digest !== target.manifest.digest) continue;
    const manifest = await readImageManifest(store.blobs, target.manifest);
    if (isMadeHere(target, manifest) && manifest.layers.length === plain.layers.length && !manifest.layers.some(isPlain)) return target;
  }
  return null;
}

async function compress(store: ImageStore, record: ImageRecord, manifest: ImageManifest, lease: Lease): Promise<ImageTarget> {
  const made = new Map<Digest, Descriptor>();
  for (const layer of manifest.layers) {
    if (!made.has(layer.digest)) made.set(layer.digest, isPlain(layer) ? await compressLayer(store.blobs, layer, lease) : layer);
  }
  const layers = manifest.layers.map((layer) => made.get(layer.digest) ?? layer);
  const target = await makeManifest(store, lease, manifest.config, layers);
  await store.exclusive(async () => {
    if (store.records.get(record.id) === undefined) throw new EngineError('conflict', `the image ${record.id} was removed during the push`);
    await store.records.apply([{ kind: 'add-target', id: record.id, target }]);
  });
  return target;
}

async function compressLayer(blobs: BlobStore, layer: Descriptor, lease: Lease): Promise<Descriptor> {
  const { digest, sizeBytes } = await blobs.write(packed(blobs.stream(layer.digest), { kind: 'gzip', level: null }), {
    lease,
    what: `compressed layer ${layer.digest}`,
  });
  return { mediaType: mediaTypes.ociLayerGzip, digest, size: sizeBytes };
}

function isPlain({ mediaType }: Descriptor): boolean {
  return plainTypes.includes(mediaType);
}
