/** Uploads under way at a registry of the tests. */
import { randomUUID } from 'node:crypto';
import type { Digest } from '../../../src/base/brand.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import type { RegistryContent } from './registry-content.ts';

export class UploadShelf {
  readonly #content: RegistryContent;
  readonly #uploads = new Map<string, Buffer[]>();

  constructor(content: RegistryContent) {
    this.#content = content;
  }

  begin(): string {
    const id = randomUUID();
    this.#uploads.set(id, []);
    return id;
  }

  /** Null: no such upload. */
  sizeBytes(id: string): number | null {
    return this.#uploads.get(id)?.reduce((sum, { length }) => sum + length, 0) ?? null;
  }

  append(id: string, bytes: Uint8Array): void {
    this.#uploads.get(id)?.push(Buffer.from(bytes));
  }

  /** Forgets what came after the first so many bytes. */
  cutTo(id: string, sizeBytes: number): void {
    if (this.#uploads.has(id)) this.#uploads.set(id, [Buffer.concat(this.#uploads.get(id) ?? []).subarray(0, sizeBytes)]);
  }

  /** False: the bytes are others; the upload stays. */
  finish(id: string, digest: Digest, repository: string): boolean {
    const bytes = Buffer.concat(this.#uploads.get(id) ?? []);
    if (digestOf(bytes) !== digest) return false;
    this.#content.addBlob(bytes, 'application/octet-stream', repository);
    this.#uploads.delete(id);
    return true;
  }

  cancel(id: string): boolean {
    return this.#uploads.delete(id);
  }
}
