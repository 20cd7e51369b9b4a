/**
 * One blob on its way from upstream to the disk, and everybody who reads it meanwhile:
 *
 *     upstream ──▶ file, at its own speed ──▶ digest is right ──▶ store
 *                    └──▶ readers, each at theirs, from the file up to where it has come
 *
 * A reader that is slow, or leaves, changes nothing for the others or for the file. The last byte is held back until the digest is known to be right: what is not what was asked for is
 * never given out whole. Begun by the first reader.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { Digest } from '../../base/brand.ts';
import { hasErrnoCode } from '../../base/errors.ts';
import type { StoredBlob } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';

export interface FetchWork {
  /** Where the bytes gather; the file is there. */
  readonly path: string;
  /** Where they are when it is done. */
  readonly keptPath: string;
  /** Bytes that an earlier try left. */
  readonly startsAt: number;
  /** Brings the rest; `grown` tells what has reached the file. Resolves when all of it is checked, kept and recorded. */
  run(grown: (bytes: number) => void): Promise<void>;
}

const readBytes = 512 * 1024;

type State =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'running' | 'done'; readonly work: FetchWork }
  | { readonly kind: 'failed'; readonly thrown: unknown };

export class BlobFetch implements StoredBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly path = null;
  readonly #begin: () => Promise<FetchWork>;
  readonly #ended: () => void;
  #state: State = { kind: 'waiting' };
  #here = 0;
  #started: Promise<void> | null = null;
  #changed = Promise.withResolvers<void>();

  /** `ended`: from now on it is in the store, or has failed and may be tried again. */
  constructor(digest: Digest, sizeBytes: number, begin: () => Promise<FetchWork>, ended: () => void) {
    this.digest = digest;
    this.sizeBytes = sizeBytes;
    this.#begin = begin;
    this.#ended = ended;
  }

  async *stream(start: number, end: number): AsyncGenerator<Uint8Array> {
    this.#started ??= this.#run();
    if (end <= start) return;
    await using file = await this.#open(await this.#until(start));
    for (let at = start; at < end; ) {
      await this.#until(at);
      const bytes = Buffer.allocUnsafe(Math.min(this.#readable, end, at + readBytes) - at);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, at);
      if (bytesRead === 0) throw new Error(`blob ${this.digest} ended early in the cache`);
      at += bytesRead;
      yield bytes.subarray(0, bytesRead);
    }
  }

  /** Never rejects. */
  async settled(): Promise<void> {
    await this.#started;
  }

  get #readable(): number {
    return this.#state.kind === 'done' ? this.sizeBytes : Math.min(this.#here, this.sizeBytes - 1);
  }

  /** Until the byte at `at` may be read. */
  async #until(at: number): Promise<FetchWork> {
    for (;;) {
      const state = this.#state;
      if (state.kind === 'failed') throw state.thrown;
      if (state.kind !== 'waiting' && at < this.#readable) return state.work;
      await this.#changed.promise;
    }
  }

  async #open({ path, keptPath }: FetchWork): Promise<FileHandle> {
    try {
      return await open(path, 'r');
    } catch (thrown) {
      if (!hasErrnoCode(thrown, 'ENOENT')) throw thrown;
    }
    try {
      return await open(keptPath, 'r');
    } catch (thrown) {
      if (!hasErrnoCode(thrown, 'ENOENT')) throw thrown;
      throw new RegistryRefusal('UNAVAILABLE', `blob ${this.digest} just left the cache: ask again`, null, undefined, 1);
    }
  }

  async #run(): Promise<void> {
    try {
      const work = await this.#begin();
      this.#here = work.startsAt;
      this.#change({ kind: 'running', work });
      await work.run((bytes) => {
        this.#here += bytes;
        this.#wake();
      });
      this.#change({ kind: 'done', work });
    } catch (thrown) {
      this.#change({ kind: 'failed', thrown });
    } finally {
      this.#ended();
    }
  }

  #change(state: State): void {
    this.#state = state;
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
