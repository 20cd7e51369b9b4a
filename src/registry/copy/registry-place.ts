/** A repository of a registry, as the source or the destination of a copy. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '../../base/brand.ts';
import { invalid } from '../../base/errors.ts';
import type { Repository } from '../../distribution/registry-client.ts';
import { RegistryError } from '../../distribution/registry-error.ts';
import type { Descriptor } from '../../oci/manifest.ts';
import type { BlobCopy, BlobOutcome, FetchedDocument, ImageDestination, ImageSource } from './image-place.ts';

const attempts = 5;
const firstPauseMs = 500;
const longestPauseMs = 60_000;

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

  /** Goes on where it was cut: whoever reads this sends it elsewhere, and would have to begin again. */
  async *open(blob: Descriptor, offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let at = offsetBytes;
    for (let failures = 0; at < blob.size; ) {
      try {
        for await (const chunk of this.#from(blob, at, signal)) {
          at += chunk.length;
          failures = 0;
          yield chunk;
        }
        if (at !== blob.size) throw invalid(`${this.name}: blob ${blob.digest} has ${at} bytes where ${blob.size} were announced`);
      } catch (thrown) {
        if (!(thrown instanceof RegistryError && thrown.failure.retryable) || ++failures >= attempts) throw thrown;
        await sleep(Math.min(thrown.failure.retryAfterMs ?? firstPauseMs * 2 ** (failures - 1), longestPauseMs), undefined, { signal });
      }
    }
  }

  async *#from(blob: Descriptor, offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { startsAt, bytes } = await this.#repository.blob(blob, offsetBytes, signal);
    // A registry without ranges begins at the beginning.
    let skip = offsetBytes - startsAt;
    for await (const chunk of bytes) {
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      yield skip === 0 ? chunk : chunk.subarray(skip);
      skip = 0;
    }
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
