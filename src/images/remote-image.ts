/**
 * What a registry has under a reference: from the tag or digest down through indexes to one manifest. Nothing is taken on trust: every document is the one whose digest led
 * to it, of the size and kind that were announced.
 */
import { invalid, notFound } from '../base/errors.ts';
import type { FetchedManifest, Repository } from '../distribution/registry-client.ts';
import { digestOf } from '../oci/digest.ts';
import { type Descriptor, type ImageIndex, type ImageManifest, isIndexType, mediaTypes, parseManifest } from '../oci/manifest.ts';
import { choosePlatform, formatPlatform, type Platform } from '../oci/platform.ts';

/** An index in an index in an index: nobody needs it, a loop would. */
const nestingLimit = 4;

export interface RemoteDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export interface RemoteImage {
  /** From what the reference names to the manifest. */
  readonly documents: readonly RemoteDocument[];
  readonly target: Descriptor;
  readonly manifestDescriptor: Descriptor;
  readonly manifest: ImageManifest;
}

/** What Docker takes for an image's config; anything else is another kind of artifact. */
const configTypes: readonly string[] = [mediaTypes.dockerConfig, mediaTypes.ociConfig, 'application/octet-stream', ''];

export async function firstDocument(repository: Repository, reference: string, signal: AbortSignal): Promise<RemoteDocument> {
  return checked(await repository.manifest(reference, signal), reference.startsWith('sha256:') ? reference : null);
}

export async function remoteImage(
  repository: Repository,
  first: RemoteDocument,
  platform: Platform,
  signal: AbortSignal,
): Promise<RemoteImage> {
  const documents = [first];
  for (let current = first; ; ) {
    const { descriptor } = current;
    const document = readDocument(current);
    if (document.kind === 'manifest') {
      requireImage(document);
      return { documents, target: plain(first.descriptor), manifestDescriptor: plain(descriptor), manifest: document };
    }
    if (documents.length >= nestingLimit) throw invalid(`the index ${first.descriptor.digest} nests indexes too deeply`);
    const next = chooseEntry(document, platform);
    current = checked(await repository.manifest(next.digest, signal), next.digest, next);
    documents.push(current);
  }
}

export function readDocument({ descriptor, bytes }: RemoteDocument): ImageManifest | ImageIndex {
  const what = `${isIndexType(descriptor.mediaType) ? 'index' : 'manifest'} ${descriptor.digest}`;
  return parseManifest(bytes, descriptor.mediaType, what);
}

/** The platforms of an index's images, for people. */
export function platformsOf({ manifests }: ImageIndex): readonly string[] {
  return [...new Set(manifests.flatMap(({ platform }) => (platform && platform.os !== 'unknown' ? [formatPlatform(platform)] : [])))];
}

function chooseEntry(index: ImageIndex, platform: Platform): Descriptor {
  const [only] = index.manifests;
  if (index.manifests.length === 1 && only && !only.platform) return only;
  const chosen = choosePlatform(index.manifests, platform) ?? index.manifests.find((entry) => !entry.platform);
  if (chosen) return chosen;
  const there = platformsOf(index);
  throw notFound(
    `no matching manifest for ${formatPlatform(platform)} in the manifest list entries${there.length === 0 ? '' : `: it has ${there.join(', ')}`}`,
  );
}

function checked({ descriptor, bytes }: FetchedManifest, digest: string | null, announced?: Descriptor): RemoteDocument {
  const found = digestOf(bytes);
  if (found !== descriptor.digest || (digest !== null && found !== digest))
    throw invalid(`manifest verification failed for digest ${digest ?? descriptor.digest}: what came has the digest ${found}`);
  if (announced && announced.size !== bytes.length)
    throw invalid(`the manifest ${found} has ${bytes.length} bytes where its index announced ${announced.size}`);
  // The index's word binds, as the bytes' own does; `parseManifest` holds them against each other.
  const mediaType = announced?.mediaType ?? descriptor.mediaType;
  return { descriptor: { mediaType, digest: found, size: bytes.length }, bytes };
}

function requireImage({ config }: ImageManifest): void {
  if (configTypes.includes(config.mediaType)) return;
  const kind = config.mediaType.includes('plugin') ? 'plugin' : config.mediaType.includes('helm') ? 'helm chart' : 'unknown';
  throw invalid(
    `Encountered remote ${JSON.stringify(config.mediaType)}(${kind}) when fetching: it is no image that containers can be made from`,
  );
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}
