/**
 * One upload: a file that grows, request by request, until its digest is told.
 *
 *     open ──append (one at a time)──▶ open ──finish──▶ gone: a linked blob
 *       └───────────────cancel, wrong digest───────────▶ gone
 */
import type { Digest } from '../base/brand.ts';
import { digestFromHex } from '../oci/digest.ts';
import type { BlobInfo } from '../store/blobs.ts';
import type { RegistryUpload, StoredBlob, Writer } from './registry.ts';
import { RegistryRefusal } from './registry-refusal.ts';
import type { UploadFiles } from './upload-files.ts';

/** What an upload needs of the registry. */
export interface UploadOwner {
  readonly files: UploadFiles;
  now(): number;
  /** Throws QUOTA_EXCEEDED, SIZE_INVALID when so many bytes, with what the repository's other uploads have taken, are more than it may have. */
  admitUpload(upload: Upload, sizeBytes: number): void;
  /** Takes the finished file over. When it refuses, upload and file are gone; other failures leave them, to be finished again. */
  adopt(upload: Upload, info: BlobInfo, writer: Writer): Promise<StoredBlob>;
  /** Row and file. */
  discard(upload: Upload): Promise<void>;
}

export class Upload implements RegistryUpload {
  readonly id: string;
  readonly repository: string;
  readonly #owner: UploadOwner;
  #sizeBytes: number;
  #busy = false;
  #writer: { replace(): Promise<void> } | null = null;
  #gone = false;
  #usedAt: number;

  constructor(owner: UploadOwner, id: string, repository: string, sizeBytes: number, usedAt: number) {
    this.#owner = owner;
    this.id = id;
    this.repository = repository;
    this.#sizeBytes = sizeBytes;
    this.#usedAt = usedAt;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get usedAt(): number {
    return this.#busy ? this.#owner.now() : this.#usedAt;
  }

  async append(source: AsyncIterable<Uint8Array>, startsAt: number, signal?: AbortSignal, onReplaced?: () => void): Promise<void> {
    if (this.#writer !== null) await this.#writer.replace();
    const { promise, resolve } = Promise.withResolvers<void>();
    const replace = (): Promise<void> => {
      onReplaced?.();
      return promise;
    };
    await this.#alone(async () => {
      this.#writer = onReplaced === undefined ? null : { replace };
      if (startsAt !== this.#sizeBytes) {
        throw new RegistryRefusal('RANGE_INVALID', `the next byte of this upload is ${this.#sizeBytes}, not ${startsAt}`);
      }
      await this.#owner.files.append(this.id, this.#admitted(source, signal), (bytes) => {
        this.#sizeBytes += bytes;
      });
    }).finally(() => {
      if (this.#writer?.replace === replace) this.#writer = null;
      resolve();
    });
  }

  async finish(digest: Digest, writer: Writer): Promise<StoredBlob> {
    return await this.#alone(async () => {
      const { hex, sizeBytes } = await this.#owner.files.finish(this.id);
      const found = digestFromHex(hex);
      if (found === digest) {
        try {
          const stored = await this.#owner.adopt(this, { digest, sizeBytes }, writer);
          this.#gone = true;
          return stored;
        } catch (thrown) {
          this.#gone = thrown instanceof RegistryRefusal;
          throw thrown;
        }
      }
      this.#gone = true;
      await this.#owner.discard(this);
      throw new RegistryRefusal('DIGEST_INVALID', `provided digest ${digest} did not match uploaded content, whose digest is ${found}`, {
        digest,
      });
    });
  }

  async cancel(): Promise<void> {
    await this.#alone(async () => {
      this.#gone = true;
      await this.#owner.discard(this);
    });
  }

  async *#admitted(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    let sizeBytes = this.#sizeBytes;
    for await (const chunk of source) {
      signal?.throwIfAborted();
      sizeBytes += chunk.length;
      this.#owner.admitUpload(this, sizeBytes);
      yield chunk;
    }
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#gone) throw new RegistryRefusal('BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry: it was finished or cancelled');
    if (this.#busy) throw new RegistryRefusal('BLOB_UPLOAD_INVALID', 'another request is writing to this upload', null, 409);
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
      this.#usedAt = this.#owner.now();
    }
  }
}
