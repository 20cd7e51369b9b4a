/**
 * Content-addressed blobs: manifests, configs, layers as they came.
 *
 *     <root>/tmp/<n>            being written, or on the way out; emptied at open
 *     <root>/partial/<64 hex>   downloads that can be resumed (partial-blobs.ts)
 *     <root>/sha256/<64 hex>    complete: size and digest were checked, the file and its directory entry are on the disk
 *
 * A blob is written in two steps. `stage` writes and hashes the bytes under `tmp`; then whoever staged it looks at digest and size and either
 * commits (hold in the lease → fsync → rename → fsync of the directory) or discards. `write` does both for bytes whose digest is known.
 */
import { createReadStream, existsSync, renameSync, statSync } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Digest } from '../base/brand.ts';
import { EngineError, hasErrnoCode, invalid, notFound } from '../base/errors.ts';
import { digestFromHex, digestHex, digestOf, isDigest } from '../oci/digest.ts';
import { diskError } from './disk-error.ts';
import type { Lease } from './leases.ts';
import { openPartialBlobs, type PartialBlobs } from './partial-blobs.ts';
import { WorkerCalls } from './worker-call.ts';

export type ByteSource = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface BlobStore {
  /** Nothing of it is visible before `commit`. Errors leave nothing. */
  stage(source: ByteSource, options?: StageOptions): Promise<StagedBlob>;
  /** A file that somebody else wrote and hashed, on this store's file system: its commit moves it here, its discard removes it. */
  adopt(path: string, info: BlobInfo): StagedBlob;
  /**
   * Makes files that somebody else wrote and hashed visible and durable, all with one wait for the directory; what is here already stays. They keep their own names too:
   * until a record needs the blobs, a crash must leave something to go on with.
   */
  adoptAll(files: readonly (BlobInfo & { readonly path: string })[], lease: Lease): Promise<void>;
  readonly partials: PartialBlobs;
  /** Digest and size of the plain bytes of a staged tar that may be compressed; hashed in the thread. `invalid` beyond the limit and for damaged streams. */
  measure(staged: StagedBlob, limitBytes: number): Promise<BlobInfo>;
  /** `invalid` when size or digest disagree. */
  write(source: ByteSource, options: WriteOptions): Promise<BlobInfo>;
  /** The whole of a small blob, verified. `invalid` when it is larger than `limitBytes`, `not-found` when it is not there. */
  readSmall(digest: Digest, limitBytes: number): Promise<Buffer>;
  /** Not verified again: the digest was, when it was written. */
  stream(digest: Digest): Readable;
  /** From that byte on. */
  streamFrom(digest: Digest, offsetBytes: number): Readable;
  path(digest: Digest): string;
  has(digest: Digest): boolean;
  sizeBytes(digest: Digest): number;
  /** Gone at once for every later look; open streams go on. */
  delete(digest: Digest): Promise<void>;
  list(): Promise<readonly Digest[]>;
  /** Reads the whole of it, in the thread. False: its bytes are not those of its name. */
  verify(digest: Digest): Promise<boolean>;
  /** What is not a blob: names below the root, of files that are being written or of strangers. */
  others(): Promise<{ readonly staged: readonly string[]; readonly strangers: readonly string[] }>;
  close(): Promise<void>;
}

export interface BlobInfo {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface StageOptions {
  /** `invalid` beyond it. */
  readonly limitBytes?: number;
  /** For messages: `layer sha256:…`, `busybox.tar: manifest.json`. */
  readonly what?: string;
  readonly signal?: AbortSignal;
}

export interface WriteOptions extends StageOptions {
  readonly lease: Lease;
  readonly expectedDigest?: Digest;
  readonly expectedSizeBytes?: number;
}

export interface StagedBlob extends BlobInfo {
  /** Where its bytes are now. */
  readonly path: string;
  /** Makes it visible and durable; the lease holds it from before it is. */
  commit(lease: Lease): Promise<void>;
  /** No-op after commit. */
  discard(): Promise<void>;
}

export interface BlobStoreOptions {
  readonly root: string;
  /** Where the writing thread's code is; a bundle that moves this file gives its own. */
  readonly workerEntry?: URL;
}

/** Up to here bytes are gathered and hashed in place: 0.3 ms at most, less than handing them over. */
const inlineLimitBytes = 256 * 1024;
const batchBytes = 256 * 1024;
/** Batches on their way to the thread: enough to keep it busy. */
const batchesAhead = 4;
const workerIdleMs = 10_000;

export async function createBlobStore(options: BlobStoreOptions): Promise<BlobStore> {
  const store = new DirectoryBlobStore(options.root, options.workerEntry ?? new URL('./blob-worker.ts', import.meta.url));
  await store.open();
  return store;
}

class DirectoryBlobStore implements BlobStore {
  readonly #temporary: string;
  readonly #blobs: string;
  readonly #worker: WorkerCalls;
  #lastTemporary = 0;
  #partials: PartialBlobs | null = null;

  constructor(root: string, workerEntry: URL) {
    this.#temporary = join(root, 'tmp');
    this.#blobs = join(root, 'sha256');
    this.#worker = new WorkerCalls(workerEntry, {
      idleMs: workerIdleMs,
      // What the thread refuses (a damaged stream, a limit) keeps its code; the rest are Node's errors.
      toError: ({ message, code, refused }) => (refused ? new EngineError(refused, message) : Object.assign(new Error(message), { code })),
    });
  }

  async open(): Promise<void> {
    // What a killed daemon was writing: nothing can refer to it.
    await rm(this.#temporary, { recursive: true, force: true });
    for (const directory of [this.#temporary, this.#blobs]) await mkdir(directory, { recursive: true, mode: 0o700 });
    this.#partials = await openPartialBlobs(join(this.#blobs, '..'));
  }

  get partials(): PartialBlobs {
    if (this.#partials === null) throw new EngineError('system', 'the blob store is not open');
    return this.#partials;
  }

  async stage(source: ByteSource, options: StageOptions = {}): Promise<StagedBlob> {
    const path = this.#newTemporary();
    try {
      const info = await this.#writeTemporary(path, source, options);
      return this.#staged(path, info);
    } catch (thrown) {
      await rm(path, { force: true }).catch(() => {});
      throw diskError(thrown, options.what ?? 'blob', this.#blobs);
    }
  }

  async write(source: ByteSource, options: WriteOptions): Promise<BlobInfo> {
    const { expectedDigest, expectedSizeBytes, lease } = options;
    const limitBytes = Math.min(options.limitBytes ?? Number.POSITIVE_INFINITY, expectedSizeBytes ?? Number.POSITIVE_INFINITY);
    const staged = await this.stage(source, { ...options, limitBytes });
    try {
      const what = options.what ?? 'blob';
      if (expectedSizeBytes !== undefined && staged.sizeBytes !== expectedSizeBytes) {
        throw invalid(`${what} has ${staged.sizeBytes} bytes where ${expectedSizeBytes} were announced`);
      }
      if (expectedDigest !== undefined && staged.digest !== expectedDigest) {
        throw invalid(`${what} is damaged: its digest is ${staged.digest}, expected was ${expectedDigest}`);
      }
      await staged.commit(lease);
      return { digest: staged.digest, sizeBytes: staged.sizeBytes };
    } finally {
      await staged.discard();
    }
  }

  adopt(path: string, info: BlobInfo): StagedBlob {
    return this.#staged(path, info);
  }

  async adoptAll(files: readonly (BlobInfo & { readonly path: string })[], lease: Lease): Promise<void> {
    for (const { digest } of files) lease.hold(digest);
    try {
      const missing = files.filter(({ digest }) => !this.has(digest));
      await Promise.all(missing.map(({ path }) => sync(path)));
      for (const { path, digest } of missing) await linkUnlessThere(path, this.path(digest));
      await sync(this.#blobs);
    } catch (thrown) {
      throw diskError(thrown, 'blobs', this.#blobs);
    }
  }

  async measure(staged: StagedBlob, limitBytes: number): Promise<BlobInfo> {
    const measured = await this.#worker.call<{ hex: string; sizeBytes: number }>({ op: 'measure', path: staged.path, limitBytes });
    return { digest: digestFromHex(measured.hex), sizeBytes: measured.sizeBytes };
  }

  async readSmall(digest: Digest, limitBytes: number): Promise<Buffer> {
    const path = this.path(digest);
    try {
      const { size } = await stat(path);
      if (size > limitBytes) throw invalid(`blob ${digest} has ${size} bytes, more than the ${limitBytes} that are read at once`);
      const bytes = await readFile(path);
      if (digestOf(bytes) !== digest)
        throw new EngineError('system', `blob ${digest} is damaged on the disk (${path}); remove its image and load it again`);
      return bytes;
    } catch (thrown) {
      throw hasErrnoCode(thrown, 'ENOENT') ? missing(digest) : thrown;
    }
  }

  stream(digest: Digest): Readable {
    return this.streamFrom(digest, 0);
  }

  streamFrom(digest: Digest, offsetBytes: number): Readable {
    return createReadStream(this.path(digest), { highWaterMark: batchBytes, start: offsetBytes });
  }

  path(digest: Digest): string {
    // The brand was put on after a check, but a path is too much to lose by a mistake elsewhere.
    if (!isDigest(digest)) throw invalid(`${JSON.stringify(digest)} is not a sha256 digest`);
    return join(this.#blobs, digestHex(digest));
  }

  has(digest: Digest): boolean {
    return existsSync(this.path(digest));
  }

  sizeBytes(digest: Digest): number {
    const found = statSync(this.path(digest), { throwIfNoEntry: false });
    if (!found) throw missing(digest);
    return found.size;
  }

  async delete(digest: Digest): Promise<void> {
    const leaving = this.#newTemporary();
    try {
      // Synchronous: nothing can come between a caller's look at the leases and this.
      renameSync(this.path(digest), leaving);
    } catch (thrown) {
      if (hasErrnoCode(thrown, 'ENOENT')) return;
      throw thrown;
    }
    await rm(leaving, { force: true });
  }

  async list(): Promise<readonly Digest[]> {
    const names = await readdir(this.#blobs);
    return names.map((name) => `sha256:${name}`).filter(isDigest);
  }

  async verify(digest: Digest): Promise<boolean> {
    try {
      return (await this.#worker.call<string>({ op: 'digest', path: this.path(digest) })) === digestHex(digest);
    } catch (thrown) {
      throw hasErrnoCode(thrown, 'ENOENT') ? missing(digest) : thrown;
    }
  }

  async others() {
    const [staged, names, strangers] = await Promise.all([readdir(this.#temporary), readdir(this.#blobs), this.partials.strangers()]);
    return {
      staged: staged.map((name) => join(this.#temporary, name)),
      strangers: [...strangers, ...names.filter((name) => !isDigest(`sha256:${name}`)).map((name) => join(this.#blobs, name))],
    };
  }

  async close(): Promise<void> {
    await this.#worker.close();
  }

  #newTemporary(): string {
    return join(this.#temporary, String(++this.#lastTemporary));
  }

  async #writeTemporary(path: string, source: ByteSource, options: StageOptions): Promise<BlobInfo> {
    const gathered: Uint8Array[] = [];
    const chunks = limited(source, options);
    let sizeBytes = 0;
    for (let next = await chunks.next(); ; next = await chunks.next()) {
      if (next.done) break;
      gathered.push(Buffer.from(next.value));
      sizeBytes += next.value.length;
      if (sizeBytes > inlineLimitBytes) return await this.#writeInWorker(path, gathered, chunks);
    }
    const bytes = Buffer.concat(gathered);
    await writeFile(path, bytes, { flag: 'wx', mode: 0o600 });
    return { digest: digestOf(bytes), sizeBytes };
  }

  async #writeInWorker(path: string, first: readonly Uint8Array[], rest: AsyncGenerator<Uint8Array>): Promise<BlobInfo> {
    const token = await this.#worker.call<number>({ op: 'begin', path });
    try {
      const ahead: Promise<unknown>[] = [];
      const send = async (bytes: Uint8Array<ArrayBuffer>) => {
        const sent = this.#worker.call({ op: 'chunk', token, bytes }, [bytes.buffer]);
        // It is awaited below, later: until then a failure must not count as unhandled.
        sent.catch(() => {});
        ahead.push(sent);
        if (ahead.length >= batchesAhead) await ahead.shift();
      };
      for await (const batch of batches(first, rest)) await send(batch);
      await Promise.all(ahead);
      const { hex, sizeBytes } = await this.#worker.call<{ hex: string; sizeBytes: number }>({ op: 'finish', token });
      return { digest: digestFromHex(hex), sizeBytes };
    } catch (thrown) {
      await this.#worker.call({ op: 'abort', token }).catch(() => {});
      throw thrown;
    }
  }

  #staged(path: string, info: BlobInfo): StagedBlob {
    let done = false;
    const final = this.path(info.digest);
    return {
      ...info,
      get path() {
        return done ? final : path;
      },
      commit: async (lease) => {
        lease.hold(info.digest);
        try {
          // Already there: whoever renamed it may not have synced the directory yet.
          if (!this.has(info.digest)) {
            await sync(path);
            await rename(path, final);
            done = true;
          }
          await sync(this.#blobs);
        } catch (thrown) {
          throw diskError(thrown, `blob ${info.digest}`, this.#blobs);
        }
      },
      discard: async () => {
        if (!done) await rm(path, { force: true });
        done = true;
      },
    };
  }
}

/** The first bytes of a staged file; fewer when it is shorter. */
export async function readStart(path: string, lengthBytes: number): Promise<Buffer> {
  await using handle = await open(path, 'r');
  const bytes = Buffer.alloc(lengthBytes);
  let filled = 0;
  while (filled < lengthBytes) {
    const { bytesRead } = await handle.read(bytes, filled, lengthBytes - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function* limited(source: ByteSource, options: StageOptions): AsyncGenerator<Uint8Array> {
  const { limitBytes = Number.POSITIVE_INFINITY, signal, what = 'blob' } = options;
  let sizeBytes = 0;
  for await (const chunk of source) {
    signal?.throwIfAborted();
    sizeBytes += chunk.length;
    if (sizeBytes > limitBytes) throw invalid(`${what} is larger than the ${limitBytes} bytes allowed for it`);
    yield chunk;
  }
}

/** Copies into buffers of their own: they change threads without being copied once more. */
async function* batches(first: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let batch = new Uint8Array(batchBytes);
  let filled = 0;
  async function* all() {
    yield* first;
    yield* rest;
  }
  for await (const chunk of all()) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + batchBytes - filled);
      batch.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < batchBytes) continue;
      yield batch;
      batch = new Uint8Array(batchBytes);
      filled = 0;
    }
  }
  // Sliced: a transferred view would bring its whole buffer along.
  if (filled > 0) yield batch.slice(0, filled);
}

async function linkUnlessThere(path: string, final: string): Promise<void> {
  try {
    await link(path, final);
  } catch (thrown) {
    if (!hasErrnoCode(thrown, 'EEXIST')) throw thrown;
  }
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path, 'r');
  await handle.sync();
}

function missing(digest: Digest): EngineError {
  return notFound(`blob ${digest} is not in the store`);
}
