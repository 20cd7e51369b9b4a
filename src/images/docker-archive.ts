/**
 * Archives of `docker save` (all versions since 1.10), podman, kaniko, bazel, jib: `manifest.json` lists config, tags and layer files.
 *
 * It has no manifest in the registry's sense; a deterministic one is made, so the same archive gives the same digests on every machine.
 */

import { detectCompression, MAGIC_BYTES } from '../archive/compression.ts';
import type { Digest } from '../base/brand.ts';
import { EngineError, invalid } from '../base/errors.ts';
import { imageConfigLimitBytes, parseImageConfig } from '../oci/image-config.ts';
import { isObject, type JsonObject, parseJson, refuseCaseVariants } from '../oci/json.ts';
import { type Descriptor, manifestLimitBytes, mediaTypes } from '../oci/manifest.ts';
import { canonicalReference, parseReference } from '../oci/reference.ts';
import type { StagedBlob } from '../store/blobs.ts';
import { readStart } from '../store/blobs.ts';
import type { Lease } from '../store/leases.ts';
import { type IncomingImage, makeManifest } from './admit.ts';
import type { ArchiveFiles } from './archive-files.ts';
import type { ImageStore } from './image-store.ts';

const imagesLimit = 1024;

export interface DockerArchiveImage {
  readonly config: string;
  /** Canonical. */
  readonly references: readonly string[];
  /** Files, bottom first. */
  readonly layers: readonly string[];
}

export function isDockerArchive(files: ArchiveFiles): boolean {
  return files.has('manifest.json');
}

export async function readDockerManifest(files: ArchiveFiles): Promise<readonly DockerArchiveImage[]> {
  const list = parseJson(await files.bytes('manifest.json', manifestLimitBytes), 'manifest.json');
  if (!Array.isArray(list)) throw invalid('manifest.json of the image archive is not a list');
  if (list.length > imagesLimit) throw invalid(`manifest.json of the image archive lists more than ${imagesLimit} images`);
  return list.map((entry, index) => parseEntry(entry, `manifest.json[${index}]`));
}

/** Config and layers committed under the lease, a manifest made. */
export async function readDockerImage(
  store: ImageStore,
  files: ArchiveFiles,
  entry: DockerArchiveImage,
  lease: Lease,
): Promise<IncomingImage> {
  const configBytes = await files.bytes(entry.config, imageConfigLimitBytes);
  // Refused before anything is committed.
  parseImageConfig(configBytes, `${entry.config} of the image archive`);
  const staged = entry.layers.map((path) => files.file(path));
  const config = descriptorOf(files.file(entry.config), mediaTypes.ociConfig);
  const layers: Descriptor[] = [];
  for (const layer of staged) layers.push(descriptorOf(layer, await layerType(layer)));
  await files.file(entry.config).commit(lease);
  for (const layer of staged) await layer.commit(lease);
  return { config, configBytes, target: await makeManifest(store, lease, config, layers), layerBlobs: layers.map(({ digest }) => digest) };
}

/** A layer's media type says how its bytes are compressed. */
export async function layerType(layer: StagedBlob): Promise<string> {
  const compression = detectCompression(await readStart(layer.path, MAGIC_BYTES));
  switch (compression) {
    case 'none':
      return mediaTypes.ociLayer;
    case 'gzip':
      return mediaTypes.ociLayerGzip;
    case 'zstd':
      return mediaTypes.ociLayerZstd;
    case 'bzip2':
    case 'xz':
      throw invalid(`layer ${layer.digest} is compressed with ${compression}, which is not supported: use gzip, zstd or no compression`);
  }
}

export function descriptorOf(staged: { readonly digest: Digest; readonly sizeBytes: number }, mediaType: string): Descriptor {
  return { mediaType, digest: staged.digest, size: staged.sizeBytes };
}

function parseEntry(entry: unknown, what: string): DockerArchiveImage {
  if (!isObject(entry)) throw invalid(`${what} of the image archive is not an object`);
  refuseCaseVariants(entry, ['Config', 'RepoTags', 'Layers', 'Parent', 'LayerSources'], what);
  if (typeof entry.Config !== 'string' || entry.Config === '') throw invalid(`${what} of the image archive has no Config`);
  return {
    config: entry.Config,
    references: texts(entry, 'RepoTags', what).map((text) => tagOf(text, what)),
    layers: texts(entry, 'Layers', what),
  };
}

function texts(entry: JsonObject, name: string, what: string): readonly string[] {
  const value = entry[name];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every((text) => typeof text === 'string'))
    throw invalid(`${what} of the image archive: ${name} is not a list of strings`);
  return value;
}

function tagOf(text: string, what: string): string {
  try {
    const reference = parseReference(text);
    if (reference.tag === null || reference.digest !== null) throw invalid('a tag is missing');
    return canonicalReference(reference);
  } catch (cause) {
    if (cause instanceof EngineError)
      throw invalid(`invalid tag ${JSON.stringify(text)} in ${what} of the image archive: ${cause.message}`, { cause });
    throw cause;
  }
}
