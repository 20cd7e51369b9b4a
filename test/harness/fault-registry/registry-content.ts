/**
 * What a registry of the tests holds: blobs and manifests by digest, tags by repository. Every repository has every blob unless it is private to some: the
 * tests of mounts need that.
 */
import type { Digest } from '../../../src/base/brand.ts';
import { digestOf } from '../../../src/oci/digest.ts';

/** Where the bytes of a blob come from: memory, or made as they are sent (files of many gigabytes). */
export interface BlobSource {
  readonly sizeBytes: number;
  /** `[start, end)` */
  read(start: number, end: number): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

export interface ManifestBytes {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** As a manifest lists it. */
export interface BlobDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

const pieceBytes = 64 * 1024;

export class RegistryContent {
  readonly #blobs = new Map<Digest, BlobSource>();
  readonly #homes = new Map<Digest, Set<string>>();
  readonly #manifests = new Map<Digest, ManifestBytes>();
  readonly #tags = new Map<string, Map<string, Digest>>();

  addBlob(bytes: Uint8Array, mediaType = 'application/octet-stream', repository?: string): BlobDescriptor {
    return this.addBlobSource(digestOf(bytes), memorySource(bytes), mediaType, repository);
  }

  /** `repository`: only it has the blob, until it is mounted or uploaded elsewhere. */
  addBlobSource(digest: Digest, source: BlobSource, mediaType: string, repository?: string): BlobDescriptor {
    if (repository === undefined) this.#homes.delete(digest);
    else if (!this.#blobs.has(digest) || this.#homes.has(digest)) this.#homesOf(digest).add(repository);
    this.#blobs.set(digest, source);
    return { mediaType, digest, size: source.sizeBytes };
  }

  addManifest(repository: string, tag: string | null, document: object | Buffer, mediaType?: string): BlobDescriptor {
    const bytes = Buffer.isBuffer(document) ? document : Buffer.from(JSON.stringify(document));
    const ownType = Buffer.isBuffer(document) ? undefined : (document as { readonly mediaType?: string }).mediaType;
    const type = mediaType ?? ownType ?? 'application/vnd.oci.image.manifest.v1+json';
    const digest = digestOf(bytes);
    this.#manifests.set(digest, { mediaType: type, bytes });
    if (tag !== null) this.setTag(repository, tag, digest);
    return { mediaType: type, digest, size: bytes.length };
  }

  setTag(repository: string, tag: string, digest: Digest): void {
    const tags = this.#tags.get(repository) ?? new Map<string, Digest>();
    this.#tags.set(repository, tags.set(tag, digest));
  }

  blob(digest: Digest, repository?: string): BlobSource | undefined {
    const homes = this.#homes.get(digest);
    return repository === undefined || homes === undefined || homes.has(repository) ? this.#blobs.get(digest) : undefined;
  }

  removeBlob(digest: Digest): boolean {
    this.#homes.delete(digest);
    return this.#blobs.delete(digest);
  }

  /** By tag or digest. */
  manifest(repository: string, reference: string): ManifestBytes | undefined {
    return this.#manifests.get(this.#tags.get(repository)?.get(reference) ?? (reference as Digest));
  }

  removeManifest(repository: string, reference: string): boolean {
    if (this.#tags.get(repository)?.delete(reference) === true) return true;
    const digest = reference as Digest;
    for (const tags of this.#tags.values()) for (const [tag, other] of tags) if (other === digest) tags.delete(tag);
    return this.#manifests.delete(digest);
  }

  tags(repository: string): readonly string[] | null {
    const tags = this.#tags.get(repository);
    return tags === undefined ? null : [...tags.keys()].sort();
  }

  repositories(): readonly string[] {
    return [...this.#tags.keys()].sort();
  }

  digests(): readonly Digest[] {
    return [...this.#blobs.keys()];
  }

  /** Descriptors of the manifests whose `subject` is this digest. */
  referrers(subject: Digest): readonly object[] {
    return [...this.#manifests].flatMap(([digest, { mediaType, bytes }]) => {
      const document = JSON.parse(bytes.toString()) as ReferringManifest;
      if (document.subject?.digest !== subject) return [];
      const artifactType = document.artifactType ?? document.config?.mediaType;
      return [{ mediaType, digest, size: bytes.length, artifactType, annotations: document.annotations }];
    });
  }

  #homesOf(digest: Digest): Set<string> {
    const homes = this.#homes.get(digest) ?? new Set<string>();
    this.#homes.set(digest, homes);
    return homes;
  }
}

interface ReferringManifest {
  readonly subject?: { readonly digest?: string };
  readonly artifactType?: string;
  readonly config?: { readonly mediaType?: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

export function memorySource(bytes: Uint8Array): BlobSource {
  return {
    sizeBytes: bytes.length,
    *read(start, end) {
      for (let at = start; at < end; at += pieceBytes) yield bytes.subarray(at, Math.min(at + pieceBytes, end));
    },
  };
}
