/**
 * Manifests as they are in registries, for `manifest inspect` and for putting an index together from images that are there already: read, bring into another repository,
 * put. Nothing of it touches the images of this machine.
 */
import { EngineError, invalid } from '../base/errors.ts';
import type { BlobDescriptor, RegistryClient, RegistryCredentials, Repository } from '../distribution/registry-client.ts';
import { type Descriptor, type ImageManifest, parseManifest } from '../oci/manifest.ts';
import type { Platform } from '../oci/platform.ts';
import { canonicalName, familiarReference, type ImageReference, parseReference, withDefaultTag } from '../oci/reference.ts';
import type { RemoteDescription } from './transfers.ts';

export interface RemoteManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  /** Of an image: what its config says. Empty for an index. */
  readonly platforms: readonly Platform[];
}

export interface RegistryManifests {
  get(reference: string, credentials: RegistryCredentials | null, signal: AbortSignal): Promise<RemoteManifest>;
  /** Checks what the bytes are, and that an index names nothing that the repository lacks, is the registry's part. */
  put(reference: string, document: Document, credentials: RegistryCredentials | null, signal: AbortSignal): Promise<Descriptor>;
  /** `source`: an image of the same registry, by digest. Its blobs are mounted where the registry allows that, else streamed. */
  bring(source: string, target: string, credentials: RegistryCredentials | null, signal: AbortSignal): Promise<Descriptor>;
}

export interface Document {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

type Describe = (reference: string, credentials: RegistryCredentials | null, signal: AbortSignal) => Promise<RemoteDescription>;

export function createRegistryManifests(client: Pick<RegistryClient, 'repository'>, describe: Describe): RegistryManifests {
  const repositoryOf = ({ domain, path }: ImageReference, credentials: RegistryCredentials | null): Repository =>
    client.repository({ domain, path }, credentials);
  return {
    async get(text, credentials, signal) {
      const reference = withDefaultTag(parseReference(text));
      const { descriptor, bytes } = await repositoryOf(reference, credentials).manifest(nameOf(reference), signal);
      const isImage = parseManifest(bytes, descriptor.mediaType).kind === 'manifest';
      const byDigest = familiarReference({ ...reference, tag: null, digest: descriptor.digest });
      return { descriptor, bytes, platforms: isImage ? (await describe(byDigest, credentials, signal)).platforms : [] };
    },

    async put(text, { mediaType, bytes }, credentials, signal) {
      const reference = withDefaultTag(parseReference(text));
      parseManifest(bytes, mediaType);
      const { digest } = await repositoryOf(reference, credentials).putManifest(nameOf(reference), mediaType, bytes, signal);
      return { mediaType, digest, size: bytes.length };
    },

    async bring(source, target, credentials, signal) {
      const [from, to] = [parseReference(source), parseReference(target)];
      if (from.digest === null) throw invalid(`${source} must be named by its digest`);
      if (from.domain !== to.domain)
        throw invalid(`cannot use source images from a different registry than the target image: ${from.domain} != ${to.domain}`);
      const [origin, goal] = [repositoryOf(from, credentials), repositoryOf(to, credentials)];
      const { descriptor, bytes } = await origin.manifest(from.digest, signal);
      const manifest = parseManifest(bytes, descriptor.mediaType);
      if (manifest.kind !== 'manifest') throw invalid(`${source} is a manifest list`);
      if (canonicalName(from) !== canonicalName(to)) await bringBlobs(origin, goal, manifest, signal);
      await goal.putManifest(descriptor.digest, descriptor.mediaType, bytes, signal);
      return descriptor;
    },
  };
}

function nameOf({ tag, digest }: ImageReference): string {
  return digest ?? tag ?? 'latest';
}

async function bringBlobs(from: Repository, to: Repository, { config, layers }: ImageManifest, signal: AbortSignal): Promise<void> {
  for (const blob of [config, ...layers]) {
    await to.uploadBlob(
      {
        digest: blob.digest,
        sizeBytes: blob.size,
        mountFrom: [from.name.path],
        open: (offsetBytes) => bytesOf(from, blob, offsetBytes, signal),
      },
      signal,
    );
  }
}

/** Where the registry serves no ranges, what is there already is read over. */
async function* bytesOf(
  repository: Repository,
  blob: BlobDescriptor,
  offsetBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { startsAt, bytes } = await repository.blob(blob, offsetBytes, signal);
  let skip = offsetBytes - startsAt;
  if (skip < 0) throw new EngineError('unavailable', `the registry began ${blob.digest} behind where it was asked to`);
  for await (const chunk of bytes) {
    if (skip < chunk.length) yield skip === 0 ? chunk : chunk.subarray(skip);
    skip = Math.max(0, skip - chunk.length);
  }
}
