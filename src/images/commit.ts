/** `docker commit`: an image's layers, and what a container changed as one more, become a new image. */
import type { DiffId, ImageId } from '../base/brand.ts';
import { conflict, EngineError, invalid } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import { encodeImageConfig, type ImageConfig, type ImageHistory } from '../oci/image-config.ts';
import { type Descriptor, manifestLimitBytes, mediaTypes, parseManifest } from '../oci/manifest.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../oci/reference.ts';
import type { StagedBlob } from '../store/blobs.ts';
import type { Lease } from '../store/leases.ts';
import { admitImage, makeManifest } from './admit.ts';
import type { CommitLayer, CommitRequest } from './catalogue.ts';
import { descriptorOf } from './docker-archive.ts';
import type { ImageRecord } from './image-records.ts';
import type { ImageStore } from './image-store.ts';

/** Canonical; wrong requests fail before anything is read. */
export function commitReference(text: string): string {
  const reference = parseReference(text);
  if (reference.digest !== null) throw invalid('refusing to create a tag with a digest reference');
  return canonicalReference(withDefaultTag(reference));
}

export async function commitImage(store: ImageStore, request: CommitRequest, references: readonly string[]): Promise<ImageRecord> {
  const base = requireBase(store, request.base);
  const lease = store.leases.acquire();
  let complete = false;
  try {
    const below = await layersOf(store, base, lease);
    const top = await stageLayer(store, request.layer);
    failpoint('commit.layer-staged');
    try {
      const record = await admit(store, lease, { request, base, below, top, references });
      complete = true;
      return record;
    } finally {
      await top?.discard();
    }
  } finally {
    lease.release();
    if (!complete) await store.sweeper.sweep();
  }
}

function requireBase({ records }: ImageStore, id: ImageId): ImageRecord {
  const base = records.get(id);
  if (base !== undefined) return base;
  throw conflict(
    `the image ${id} that the container was made from was removed by force: load or pull it again, or export the container instead`,
  );
}

/** Held before they are looked for: a sweep takes what nobody holds. */
async function layersOf(store: ImageStore, base: ImageRecord, lease: Lease): Promise<readonly Descriptor[]> {
  const target = base.targets.get(base.firstTarget);
  if (target === undefined) throw new EngineError('system', `the image ${base.id} is recorded without a manifest`);
  for (const blob of target.blobs) lease.hold(blob);
  const { mediaType, digest } = target.manifest;
  const manifest = parseManifest(await store.blobs.readSmall(digest, manifestLimitBytes), mediaType, `manifest ${digest}`);
  if (manifest.kind !== 'manifest') throw new EngineError('system', `${digest} is recorded as a manifest and is an index`);
  return manifest.layers;
}

/** Null: nothing was changed. */
async function stageLayer({ blobs }: ImageStore, read: () => Promise<CommitLayer>): Promise<StagedBlob | null> {
  const { tar, changed } = await read();
  let staged: StagedBlob | null = null;
  try {
    staged = await blobs.stage(tar, { what: 'the layer of the new image' });
    if (await changed) return staged;
    await staged.discard();
    return null;
  } catch (error) {
    tar.destroy();
    await staged?.discard();
    throw error;
  }
}

interface Parts {
  readonly request: CommitRequest;
  readonly base: ImageRecord;
  readonly below: readonly Descriptor[];
  readonly top: StagedBlob | null;
  readonly references: readonly string[];
}

async function admit(store: ImageStore, lease: Lease, { request, base, below, top, references }: Parts): Promise<ImageRecord> {
  const configBytes = encodeImageConfig(configOf(request, base, top));
  await top?.commit(lease);
  const written = await store.blobs.write([configBytes], { lease, what: 'image config' });
  const config = descriptorOf(written, mediaTypes.ociConfig);
  const layers = top === null ? below : [...below, descriptorOf(top, mediaTypes.ociLayer)];
  const target = await makeManifest(store, lease, config, layers);
  const image = { config, configBytes, target, layerBlobs: layers.map(({ digest }) => digest), parent: base.id };
  failpoint('commit.layer-stored');
  const { record } = await admitImage(store, image, { references, what: 'the new image' });
  failpoint('commit.recorded');
  return record;
}

function configOf(
  { author, comment, createdBy, containerId, config }: CommitRequest,
  base: ImageRecord,
  top: StagedBlob | null,
): ImageConfig {
  const created = new Date().toISOString();
  const { architecture, os, variant, 'os.version': version, rootfs, history } = base.config;
  const step: ImageHistory = {
    created,
    ...(author === '' ? {} : { author }),
    created_by: createdBy,
    ...(comment === '' ? {} : { comment }),
    ...(top === null ? { empty_layer: true } : {}),
  };
  // The tar is not compressed: its digest is the diffID.
  const diffIds = top === null ? rootfs.diff_ids : [...rootfs.diff_ids, top.digest as string as DiffId];
  return {
    created,
    ...(author === '' ? {} : { author }),
    architecture,
    ...(variant === undefined ? {} : { variant }),
    os,
    ...(version === undefined ? {} : { 'os.version': version }),
    container: containerId,
    config,
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: [...history, step],
  };
}
