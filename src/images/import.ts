/** `docker import`: the tar of a root file system, compressed or not, becomes the only layer of a new image. */
import type { DiffId } from '../base/brand.ts';
import { invalid } from '../base/errors.ts';
import { shortId } from '../oci/digest.ts';
import { encodeImageConfig, type ImageConfig } from '../oci/image-config.ts';
import { mediaTypes } from '../oci/manifest.ts';
import { type Platform, parsePlatform } from '../oci/platform.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../oci/reference.ts';
import type { ByteSource, StagedBlob } from '../store/blobs.ts';
import { defaultUnpackLimits } from '../store/unpack-limits.ts';
import { admitImage, makeManifest } from './admit.ts';
import type { ImageProgress, ImportOptions } from './catalogue.ts';
import { applyChanges } from './changes.ts';
import { descriptorOf, layerType } from './docker-archive.ts';
import type { ImageRecord } from './image-records.ts';
import type { ImageStore } from './image-store.ts';

/** What is known of the new image before its bytes come: wrong requests fail at once. */
interface ImportPlan {
  readonly references: readonly string[];
  readonly config: (diffId: DiffId) => ImageConfig;
}

export function planImport(options: ImportOptions, host: Platform): ImportPlan {
  const platform = options.platform ? parsePlatform(options.platform) : host;
  if (platform.os !== 'linux') throw invalid(`operating system ${JSON.stringify(platform.os)} is not supported: import makes linux images`);
  const created = new Date().toISOString();
  const comment = options.message || 'Imported from -';
  const config = applyChanges({}, options.changes);
  return {
    references: options.reference ? [tagFor(options.reference)] : [],
    config: (diffId) => ({
      created,
      comment,
      architecture: platform.architecture,
      ...(platform.variant ? { variant: platform.variant } : {}),
      os: platform.os,
      config,
      rootfs: { type: 'layers', diff_ids: [diffId] },
      history: [{ created, comment }],
    }),
  };
}

export async function importLayer(
  store: ImageStore,
  source: ByteSource,
  plan: ImportPlan,
  onProgress: (progress: ImageProgress) => void,
): Promise<ImageRecord> {
  const lease = store.leases.acquire();
  const layer = await store.blobs.stage(source, { what: 'the imported archive' }).catch((thrown) => {
    lease.release();
    throw thrown;
  });
  let complete = false;
  try {
    if (layer.sizeBytes === 0) throw invalid('cannot import an empty archive: send the tar of a root file system');
    const mediaType = await layerType(layer);
    const configBytes = encodeImageConfig(plan.config(await diffIdOf(store, layer, mediaType)));
    await layer.commit(lease);
    const written = await store.blobs.write([configBytes], { lease, what: 'image config' });
    const config = descriptorOf(written, mediaTypes.ociConfig);
    const target = await makeManifest(store, lease, config, [descriptorOf(layer, mediaType)]);
    const image = { config, configBytes, target, layerBlobs: [layer.digest] };
    const { record } = await admitImage(store, image, {
      references: plan.references,
      what: 'the imported image',
      onLayerProgress: ({ diffId }, { doneBytes, totalBytes }) =>
        onProgress({ kind: 'progress', id: shortId(diffId), status: 'Importing', current: doneBytes, total: totalBytes }),
    });
    complete = true;
    return record;
  } finally {
    await layer.discard();
    lease.release();
    if (!complete) await store.sweeper.sweep();
  }
}

/** The digest of the plain tar; the layer store checks it again while it unpacks, within the same budgets. */
async function diffIdOf(store: ImageStore, layer: StagedBlob, mediaType: string): Promise<DiffId> {
  if (mediaType === mediaTypes.ociLayer) return layer.digest as string as DiffId;
  const { layerBytes, ratio, ratioFromBytes } = defaultUnpackLimits;
  const { digest } = await store.blobs.measure(layer, Math.min(layerBytes, Math.max(ratioFromBytes, layer.sizeBytes * ratio)));
  return digest as string as DiffId;
}

function tagFor(text: string): string {
  const reference = parseReference(text);
  if (reference.digest !== null) throw invalid('cannot import digest reference');
  return canonicalReference(withDefaultTag(reference));
}
