/**
 * Reads a manifest that is pushed: what it needs and what it refers to. The registry keeps the bytes as they came; it is strict in what could be read in two ways
 * (SECURITY.md row 24) and takes any artifact type, any config and an empty list of layers.
 */
import type { Digest } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import { isObject, type JsonObject, parseJsonObject, refuseCaseVariants } from '../oci/json.ts';
import { isIndexType, manifestLimitBytes, mediaTypes, parseDescriptor } from '../oci/manifest.ts';
import { RegistryRefusal } from './registry-refusal.ts';

export interface PushedManifest {
  readonly mediaType: string;
  readonly subject: Digest | null;
  /** As the referrers list shows it: of the manifest, else its config's media type. */
  readonly artifactType: string | null;
  /** Config and layers; they must be here. */
  readonly blobs: readonly Digest[];
  /** Of an index; here as manifests, or as blobs (build caches are indexes of layers). */
  readonly entries: readonly Digest[];
  readonly annotations: Readonly<Record<string, string>> | null;
}

const imageTypes: readonly string[] = [mediaTypes.ociManifest, mediaTypes.dockerManifest];
const schema1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)$/;
const mediaTypeForm = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;
const knownFields = ['schemaVersion', 'mediaType', 'config', 'layers', 'blobs', 'manifests', 'annotations', 'artifactType', 'subject'];
/** No image has as many; each costs a look. */
const namesLimit = 10_000;

/** Throws MANIFEST_INVALID, SIZE_INVALID. `announced`: the request's Content-Type without parameters. */
export function readPushedManifest(bytes: Uint8Array, announced: string): PushedManifest {
  if (bytes.length > manifestLimitBytes) {
    throw new RegistryRefusal('SIZE_INVALID', `manifest is larger than ${manifestLimitBytes} bytes`, null, 413);
  }
  try {
    return read(bytes, announced);
  } catch (thrown) {
    if (thrown instanceof EngineError && !(thrown instanceof RegistryRefusal))
      throw new RegistryRefusal('MANIFEST_INVALID', thrown.message);
    throw thrown;
  }
}

function read(bytes: Uint8Array, announced: string): PushedManifest {
  const what = 'manifest';
  const document = parseJsonObject(bytes, what);
  refuseCaseVariants(document, knownFields, what);
  const mediaType = agreedType(document, announced);
  if (schema1.test(mediaType) || document.schemaVersion === 1) {
    refuse('manifest has schema version 1, which is no longer taken: push it again with a client of this decade');
  }
  if (document.schemaVersion !== undefined && document.schemaVersion !== 2)
    refuse(`manifest has schemaVersion ${shown(document.schemaVersion)}`);
  if ('manifests' in document && ('layers' in document || 'config' in document)) {
    refuse('manifest has both manifests and layers: it would be read as an index by one and as an image by another');
  }
  const index = isIndexType(mediaType);
  const image = imageTypes.includes(mediaType);
  if ((index || image) && document.schemaVersion !== 2) refuse('manifest has no schemaVersion 2');
  if (index && !('manifests' in document)) refuse(`manifest has no manifests, which its media type ${mediaType} asks for`);
  if (image && !('config' in document && 'layers' in document)) {
    refuse(`manifest lacks config or layers, which its media type ${mediaType} asks for`);
  }
  const config = 'config' in document ? parseDescriptor(document.config, `${what}: config`) : null;
  const layers = ['layers', 'blobs'].flatMap((field) => descriptors(document, field));
  const blobs = [...(config === null ? [] : [config]), ...layers].filter(isKeptHere);
  return {
    mediaType,
    subject:
      document.subject === undefined || document.subject === null ? null : parseDescriptor(document.subject, `${what}: subject`).digest,
    artifactType: artifactTypeOf(document) ?? config?.mediaType ?? null,
    blobs: [...new Set(blobs.map(({ digest }) => digest))],
    entries: [...new Set(descriptors(document, 'manifests').map(({ digest }) => digest))],
    annotations: annotationsOf(document),
  };
}

/** Layers that Windows' licence forbids to distribute are fetched from elsewhere; they need not be here. */
function isKeptHere({ mediaType }: { readonly mediaType: string }): boolean {
  return mediaType !== 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' && !mediaType.includes('.nondistributable.');
}

function agreedType(document: JsonObject, announced: string): string {
  const own = document.mediaType;
  if (own !== undefined && typeof own !== 'string') refuse('manifest: mediaType is not a string');
  if (announced !== '' && !mediaTypeForm.test(announced)) refuse(`Content-Type ${shown(announced)} is not a media type`);
  if (own && announced && own !== announced) refuse(`manifest says it is ${shown(own)}, but was sent as ${announced}`);
  if (own && !mediaTypeForm.test(own)) refuse(`manifest: mediaType ${shown(own)} is not a media type`);
  return own || announced || ('manifests' in document ? mediaTypes.ociIndex : mediaTypes.ociManifest);
}

function descriptors(document: JsonObject, field: string) {
  const list = document[field];
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) refuse(`manifest: ${field} is not a list`);
  if (list.length > namesLimit) refuse(`manifest: ${field} has ${list.length} entries, more than ${namesLimit}`);
  return list.map((entry, index) => parseDescriptor(entry, `manifest: ${field}[${index}]`));
}

function artifactTypeOf(document: JsonObject): string | null {
  const { artifactType } = document;
  if (artifactType === undefined || artifactType === null || artifactType === '') return null;
  if (typeof artifactType !== 'string') refuse('manifest: artifactType is not a string');
  return artifactType;
}

function annotationsOf(document: JsonObject): Readonly<Record<string, string>> | null {
  const { annotations } = document;
  if (annotations === undefined || annotations === null) return null;
  if (!isObject(annotations) || !Object.values(annotations).every((value) => typeof value === 'string')) {
    refuse('manifest: annotations is not an object of strings');
  }
  return annotations as Readonly<Record<string, string>>;
}

function refuse(message: string): never {
  throw new RegistryRefusal('MANIFEST_INVALID', message);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}
