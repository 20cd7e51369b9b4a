/**
 * Manifests and indexes, Docker's v2 schema 2 and OCI's, read from bytes whose digest was checked.
 *
 * One document is either an image manifest or an index, never both (CVE-2021-41190), and its `mediaType` must be the one that whoever
 * pointed here announced (SECURITY.md row 24). Bytes are kept by the store; this is only a view of them.
 */
import type { Digest } from '../base/brand.ts';
import { invalid } from '../base/errors.ts';
import { parseDigest } from './digest.ts';
import { copyMap, isObject, type JsonObject, parseJsonObject, refuseCaseVariants } from './json.ts';
import type { Platform } from './platform.ts';

/** What every registry accepts at most. */
export const manifestLimitBytes = 4 * 1024 * 1024;
/** More layers than overlay can stack; more entries than any index has. */
const entriesLimit = 1024;

export const mediaTypes = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

const indexTypes: readonly string[] = [mediaTypes.ociIndex, mediaTypes.dockerIndex];
const manifestTypes: readonly string[] = [mediaTypes.ociManifest, mediaTypes.dockerManifest];

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of what is no image; in lists of referrers. */
  readonly artifactType?: string;
  /** Where a foreign layer is, which registries do not keep. */
  readonly urls?: readonly string[];
}

export interface ImageManifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

/** `announced`: the media type of the descriptor or header that led here; null when nothing did (the index.json of a layout). */
export function parseManifest(bytes: Uint8Array, announced: string | null, what = 'manifest'): ImageManifest | ImageIndex {
  if (bytes.length > manifestLimitBytes) throw invalid(`${what} is larger than ${manifestLimitBytes} bytes`);
  const document = parseJsonObject(bytes, what);
  refuseCaseVariants(
    document,
    ['schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'annotations', 'artifactType', 'subject'],
    what,
  );
  if (document.schemaVersion === 1) {
    throw invalid(
      `${what} is a Docker Image manifest version 2, schema 1, which is not supported: ask its author to push it again as an OCI image or Docker schema 2`,
    );
  }
  if (document.schemaVersion !== 2) {
    throw invalid(`${what} has schemaVersion ${JSON.stringify(document.schemaVersion) ?? 'missing'}, only 2 is supported`);
  }
  if ('manifests' in document && ('layers' in document || 'config' in document)) {
    throw invalid(`${what} has both manifests and layers: it would be read as an index by one and as an image by another`);
  }
  const mediaType = agreedMediaType(document, announced, what);
  const annotations = parseAnnotations(document.annotations, what) ?? {};
  if (indexTypes.includes(mediaType))
    return { kind: 'index', mediaType, manifests: parseDescriptors(document.manifests, `${what}: manifests`), annotations };
  if (!('config' in document)) throw invalid(`${what} has no config: it is not the manifest of an image`);
  const config = parseDescriptor(document.config, `${what}: config`);
  return { kind: 'manifest', mediaType, config, layers: parseDescriptors(document.layers, `${what}: layers`), annotations };
}

/** Field order is fixed, so the same image always has the same manifest digest. */
export function encodeManifest(config: Descriptor, layers: readonly Descriptor[]): Buffer {
  const plain = ({ mediaType, digest, size }: Descriptor) => ({ mediaType, digest, size });
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: plain(config), layers: layers.map(plain) }),
  );
}

export function isIndexType(mediaType: string): boolean {
  return indexTypes.includes(mediaType);
}

export function parseDescriptor(value: unknown, what: string): Descriptor {
  if (!isObject(value)) throw invalid(`${what} is not a descriptor`);
  refuseCaseVariants(value, ['mediaType', 'digest', 'size', 'urls', 'annotations', 'data', 'platform', 'artifactType'], what);
  const { mediaType, size } = value;
  if (typeof mediaType !== 'string' || mediaType === '') throw invalid(`${what} has no mediaType`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw invalid(`${what} has no valid size`);
  const platform = parsePlatformField(value.platform, what);
  const annotations = parseAnnotations(value.annotations, what);
  const digest = parseDigest(value.digest, what);
  const { artifactType } = value;
  return {
    mediaType,
    digest,
    size,
    ...(platform ? { platform } : {}),
    ...(annotations ? { annotations } : {}),
    ...(typeof artifactType === 'string' && artifactType ? { artifactType } : {}),
    ...parseUrls(value.urls, what),
  };
}

function parseUrls(value: unknown, what: string): { readonly urls?: readonly string[] } {
  if (value === undefined || value === null) return {};
  if (!Array.isArray(value) || !value.every((url) => typeof url === 'string')) throw invalid(`${what}: urls is not a list of strings`);
  return value.length === 0 ? {} : { urls: value };
}

function agreedMediaType(document: JsonObject, announced: string | null, what: string): string {
  const own = document.mediaType;
  if (own !== undefined && typeof own !== 'string') throw invalid(`${what}: mediaType is not a string`);
  if (own && announced && own !== announced) throw invalid(`${what} says it is ${own}, but was announced as ${announced}`);
  // OCI lets the field out; then the one list that is there decides, as both were refused above.
  const mediaType = own || announced || ('manifests' in document ? mediaTypes.ociIndex : mediaTypes.ociManifest);
  if (!indexTypes.includes(mediaType) && !manifestTypes.includes(mediaType))
    throw invalid(`${what}: media type ${mediaType} is not supported`);
  if (indexTypes.includes(mediaType) !== 'manifests' in document)
    throw invalid(`${what} does not have the fields of its media type ${mediaType}`);
  return mediaType;
}

function parseDescriptors(value: unknown, what: string): readonly Descriptor[] {
  if (!Array.isArray(value)) throw invalid(`${what} is not a list`);
  if (value.length > entriesLimit) throw invalid(`${what} has ${value.length} entries, more than ${entriesLimit}`);
  return value.map((entry, index) => parseDescriptor(entry, `${what}[${index}]`));
}

function parsePlatformField(value: unknown, what: string): Platform | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw invalid(`${what}: platform is not an object`);
  refuseCaseVariants(value, ['architecture', 'os', 'os.version', 'os.features', 'variant', 'features'], `${what}: platform`);
  const { os, architecture, variant } = value;
  const version = value['os.version'];
  if (typeof os !== 'string' || typeof architecture !== 'string') throw invalid(`${what}: platform has no os or no architecture`);
  return {
    os,
    architecture,
    ...(typeof variant === 'string' && variant ? { variant } : {}),
    ...(typeof version === 'string' && version ? { 'os.version': version } : {}),
  };
}

function parseAnnotations(value: unknown, what: string): Readonly<Record<string, string>> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw invalid(`${what}: annotations is not an object`);
  const isText = (entry: [string, unknown]): entry is [string, string] => typeof entry[1] === 'string';
  const entries = Object.entries(value);
  if (!entries.every(isText)) throw invalid(`${what}: annotations holds a value that is not a string`);
  return copyMap(entries);
}
