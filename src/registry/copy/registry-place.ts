/** A repository of a registry, as the source or the destination of a copy. */
import type { Digest } from '../../base/brand.ts';
import type { Repository } from '../../distribution/registry-client.ts';
import type { Descriptor } from '../../oci/manifest.ts';
import { resumedBlob } from '../resumed-blob.ts';
import type { BlobCopy, BlobOutcome, FetchedDocument, ImageDestination, ImageSource } from './image-place.ts';

export class RegistryPlace implements ImageSource, ImageDestination {
  readonly #repository: Repository;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  get name(): string {
    return `${this.repository.domain}/${this.repository.path}`;
  }

  get repository() {
    return this.#repository.name;
  }

  async fetch(reference: string | null, signal: AbortSignal): Promise<FetchedDocument> {
    const { descriptor, bytes } = await this.#repository.manifest(reference ?? 'latest', signal);
    return { descriptor, bytes };
  }

  open(blob: Descriptor, offsetBytes: number, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return resumedBlob(this.#repository, blob, offsetBytes, signal);
  }

  tags(signal: AbortSignal): AsyncIterable<string> {
    return this.#repository.tags(signal);
  }

  async referrers(digest: Digest, signal: AbortSignal): Promise<readonly Descriptor[]> {
    return (await this.#repository.referrers(digest, null, signal)).manifests;
  }

  async holds({ digest }: Descriptor, signal: AbortSignal): Promise<boolean> {
    return (await this.#repository.describe(digest, signal)) !== null;
  }

  async putBlob({ blob, open, from, onProgress }: BlobCopy, signal: AbortSignal): Promise<BlobOutcome> {
    const { digest, size: sizeBytes } = blob;
    const isSibling = from !== null && from.domain === this.repository.domain && from.path !== this.repository.path;
    const mountFrom = isSibling ? [from.path] : [];
    const { kind } = await this.#repository.uploadBlob({ digest, sizeBytes, open, mountFrom, onProgress }, signal);
    return kind === 'uploaded' ? 'copied' : kind;
  }

  async putManifest({ descriptor, bytes }: FetchedDocument, tag: string | null, signal: AbortSignal): Promise<void> {
    await this.#repository.putManifest(tag ?? descriptor.digest, descriptor.mediaType, bytes, signal);
  }
}
