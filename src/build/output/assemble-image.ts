/**
 * Blobs of an image from trees and configs: layers as wanted, config, manifest, and an index where there are several platforms or attestations. All of them are in the blob store then, held by
 * the lease and by nothing else: what has no record when the lease is released goes with the next sweep.
 *
 *     config ─┐
 *     layers ─┴─▶ manifest ─┐
 *                           ├─▶ index        (several platforms, attestations)
 *           attestations ───┘
 */
import type { Digest } from '../../base/brand.ts';
import { EngineError, invalid } from '../../base/errors.ts';
import { digestOf } from '../../oci/digest.ts';
import { encodeImageConfig } from '../../oci/image-config.ts';
import { type Descriptor, mediaTypes } from '../../oci/manifest.ts';
import { formatPlatform, type Platform } from '../../oci/platform.ts';
import type { BlobStore } from '../../store/blobs.ts';
import type { Lease } from '../../store/leases.ts';
import type { LayerCompression } from '../build-request.ts';
import { writeAttestations } from './attestation-manifest.ts';
import { encodeImageManifest, encodeIndex } from './encode-manifest.ts';
import type { LayerBlobs } from './layer-blobs.ts';
import { type Annotations, OutputAnnotations } from './output-annotations.ts';
import type { BuiltImage } from './outputs.ts';

export interface AssembledImage {
  readonly platform: Platform;
  readonly config: Descriptor;
  readonly configBytes: Buffer;
  /** As their manifest has them, bottom first. */
  readonly layers: readonly Descriptor[];
  /** Blobs that were made of their layers here. */
  readonly proved: ReadonlySet<Digest>;
  readonly manifest: Descriptor;
}

export interface Assembly {
  readonly images: readonly AssembledImage[];
  /** The index, or the only manifest. */
  readonly target: Descriptor;
  /** Everything that belongs to it. */
  readonly blobs: ReadonlySet<Digest>;
  /** Of the target's entry in an archive. */
  readonly targetAnnotations: Annotations;
}

export interface AssembleRequest {
  readonly images: readonly BuiltImage[];
  readonly names: readonly string[];
  readonly compression: LayerCompression;
  readonly annotations: ReadonlyMap<string, string>;
}

export interface AssembleParts {
  readonly blobs: BlobStore;
  readonly layers: LayerBlobs;
  readonly lease: Lease;
  readonly signal: AbortSignal;
}

export async function assemble(parts: AssembleParts, request: AssembleRequest): Promise<Assembly> {
  const annotations = new OutputAnnotations(request.annotations);
  const isIndex = request.images.length > 1 || request.images.some(({ attestations }) => attestations.length > 0);
  if (!isIndex && annotations.has('index'))
    throw invalid('index annotations not supported for single platform export: use annotation-manifest.NAME');
  const images: AssembledImage[] = [];
  for (const image of request.images) images.push(await assembleOne(parts, image, request.compression, annotations));
  const blobs = new Set(images.flatMap(({ manifest, config, layers }) => [manifest, config, ...layers].map(({ digest }) => digest)));
  const [only] = images;
  if (!isIndex && only !== undefined) {
    const descriptor = { ...annotations.of('manifest-descriptor', only.platform), ...annotations.of('index-descriptor', null) };
    return { images, target: only.manifest, blobs, targetAnnotations: descriptor };
  }
  const entries = images.map(({ manifest, platform }) => entryOf(manifest, platform, annotations));
  const beside = await attest(parts, request, images);
  const bytes = encodeIndex([...entries, ...beside.map(({ descriptor }) => descriptor)], annotations.of('index', null));
  const target = await write(parts, bytes, mediaTypes.ociIndex, 'index');
  const more = beside.flatMap(({ descriptor, config, layers }) => [descriptor, config, ...layers].map(({ digest }) => digest));
  return {
    images,
    target,
    blobs: new Set([...blobs, ...more, target.digest]),
    targetAnnotations: annotations.of('index-descriptor', null),
  };
}

async function assembleOne(
  parts: AssembleParts,
  image: BuiltImage,
  compression: LayerCompression,
  annotations: OutputAnnotations,
): Promise<AssembledImage> {
  const diffIds = image.tree.layers.map(({ diffId }) => diffId);
  if (diffIds.length !== image.layers.length || diffIds.some((diffId, index) => diffId !== image.config.rootfs.diff_ids[index]))
    throw new EngineError('system', `the image for ${formatPlatform(image.platform)} has other layers than its config says`);
  const layers: Descriptor[] = [];
  const proved = new Set<Digest>();
  for (const [index, descriptor] of image.layers.entries()) {
    const diffId = diffIds[index];
    if (diffId === undefined) break;
    const made = await parts.layers.as({ descriptor, diffId }, compression, parts.lease, parts.signal);
    layers.push(made.descriptor);
    if (made.isNew) proved.add(made.descriptor.digest);
  }
  const configBytes = encodeImageConfig(image.config);
  const config = await write(parts, configBytes, mediaTypes.ociConfig, 'image config');
  const bytes = encodeImageManifest(config, layers, annotations.of('manifest', image.platform));
  const manifest = await write(parts, bytes, mediaTypes.ociManifest, 'manifest');
  return { platform: image.platform, config, configBytes, layers, proved, manifest };
}

function entryOf(manifest: Descriptor, platform: Platform, annotations: OutputAnnotations): Descriptor {
  const own = annotations.of('manifest-descriptor', platform);
  return { ...manifest, ...(Object.keys(own).length === 0 ? {} : { annotations: own }), platform };
}

async function attest({ blobs, lease }: AssembleParts, { images: built, names }: AssembleRequest, images: readonly AssembledImage[]) {
  const beside: Awaited<ReturnType<typeof writeAttestations>>[] = [];
  for (const [index, { manifest, platform }] of images.entries()) {
    const attestations = built[index]?.attestations ?? [];
    if (attestations.length > 0) beside.push(await writeAttestations(blobs, lease, { manifest, platform, names }, attestations));
  }
  return beside;
}

async function write({ blobs, lease }: AssembleParts, bytes: Buffer, mediaType: string, what: string): Promise<Descriptor> {
  const digest = digestOf(bytes);
  lease.hold(digest);
  if (!blobs.has(digest)) await blobs.write([bytes], { lease, what, expectedDigest: digest });
  return { mediaType, digest, size: bytes.length };
}
