/**
 * One layer from blob to directory, in one pass and verified at the end; runs in a worker thread.
 *
 *   blob ──▶ sha256 ──▶ decompress ──▶ sha256 (diffID) ──▶ tar reader ──▶ layer writer ──▶ <directory>/fs
 *
 * `directory` must not exist. It gets `fs` and `layer.json`, both on the disk when this returns; whatever goes wrong, the caller removes it.
 */
import { createHash, type Hash } from 'node:crypto';
import { chmodSync, closeSync, fstatSync, mkdirSync, openSync, readSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decompress } from '../archive/compression.ts';
import { TarReader } from '../archive/tar-reader.ts';
import type { DiffId, Digest } from '../base/brand.ts';
import { EngineError, invalid } from '../base/errors.ts';
import { closeDescriptor, syncFileSystem } from '../linux/file-calls.ts';
import { openRoot } from '../linux/path-in-root.ts';
import { encodeLayerRecord, type LayerRecord } from './layer-record.ts';
import { LayerStack } from './layer-stack.ts';
import { LayerWriter } from './layer-writer.ts';
import { NeedsParents } from './merged-walk.ts';
import { OwnTree } from './own-tree.ts';
import type { UnpackLimits } from './unpack-limits.ts';

export interface UnpackJob {
  readonly blobPath: string;
  readonly blob: Digest;
  readonly diffId: DiffId;
  readonly directory: string;
  /** `fs` directories of the layers below, topmost first; null: by itself. */
  readonly lowers: readonly string[] | null;
  readonly limits: UnpackLimits;
}

export type UnpackOutcome = { readonly kind: 'unpacked'; readonly record: LayerRecord } | { readonly kind: 'needs-parents' };

export interface UnpackControl {
  /** Asked between chunks. */
  isCancelled(): boolean;
  /** Compressed bytes read. */
  progress(doneBytes: number, totalBytes: number): void;
}

const READ_BYTES = 256 * 1024;

export async function unpackLayer(job: UnpackJob, control: UnpackControl): Promise<UnpackOutcome> {
  mkdirSync(join(job.directory, 'fs'), { recursive: true });
  // Whatever the umask is. Layers that don't list their root look so.
  chmodSync(join(job.directory, 'fs'), 0o755);
  chmodSync(job.directory, 0o700);
  mkdirSync(join(job.directory, 'trash'), { mode: 0o700 });
  const root = openRoot(join(job.directory, 'fs'));
  const trash = openRoot(join(job.directory, 'trash'));
  const tree = new OwnTree(root, trash, job.limits.nameBytes);
  const writer = new LayerWriter(tree, job.lowers === null ? null : new LayerStack(job.lowers), job.limits);
  try {
    await new BlobPass(job, control).run(writer);
    const record: LayerRecord = { diffId: job.diffId, ...writer.finish() };
    rmdirSync(join(job.directory, 'trash'));
    commit(job.directory, record);
    return { kind: 'unpacked', record };
  } catch (error) {
    if (error instanceof NeedsParents) return { kind: 'needs-parents' };
    throw error;
  } finally {
    writer.close();
    closeDescriptor(trash);
    closeDescriptor(root);
  }
}

/** One wait for the disk for the whole layer: syncing thousands of small files one by one takes seconds. */
function commit(directory: string, record: LayerRecord): void {
  writeFileSync(join(directory, 'layer.json'), encodeLayerRecord(record), { mode: 0o600 });
  const fd = openSync(directory, 'r');
  try {
    syncFileSystem(fd);
  } finally {
    closeSync(fd);
  }
}

/** Reads the blob once, keeping both digests and the budgets. */
class BlobPass {
  readonly #job: UnpackJob;
  readonly #control: UnpackControl;
  readonly #blobHash: Hash = createHash('sha256');
  #compressedBytes = 0;
  #plainBytes = 0;

  constructor(job: UnpackJob, control: UnpackControl) {
    this.#job = job;
    this.#control = control;
  }

  async run(writer: LayerWriter): Promise<void> {
    const job = this.#job;
    const diffHash = createHash('sha256');
    const tar = new TarReader(writer, job.limits);
    for await (const chunk of decompress(this.#read(), { zstdWindowLog: job.limits.zstdWindowLog })) {
      this.#plainBytes += chunk.length;
      this.#checkBudget();
      diffHash.update(chunk);
      tar.push(chunk);
    }
    tar.end();
    verify('blob', job.blob, `sha256:${this.#blobHash.digest('hex')}`);
    verify('uncompressed layer', job.diffId, `sha256:${diffHash.digest('hex')}`);
  }

  *#read(): Generator<Uint8Array, void, undefined> {
    const fd = openSync(this.#job.blobPath, 'r');
    try {
      const totalBytes = fstatSync(fd).size;
      for (;;) {
        if (this.#control.isCancelled()) throw new EngineError('unavailable', 'unpacking was cancelled');
        // A buffer of its own for every chunk: the decompressor may still hold the last one.
        const buffer = Buffer.allocUnsafe(READ_BYTES);
        const length = readSync(fd, buffer, 0, buffer.length, null);
        if (length === 0) return;
        const chunk = buffer.subarray(0, length);
        this.#blobHash.update(chunk);
        this.#compressedBytes += length;
        this.#control.progress(this.#compressedBytes, totalBytes);
        yield chunk;
      }
    } finally {
      closeSync(fd);
    }
  }

  #checkBudget(): void {
    const { layerBytes, ratio, ratioFromBytes } = this.#job.limits;
    if (this.#plainBytes > layerBytes) throw invalid(`the uncompressed layer is larger than ${layerBytes} bytes, the limit`);
    if (this.#plainBytes > ratioFromBytes && this.#plainBytes > ratio * this.#compressedBytes) {
      throw invalid(
        `the layer grows by more than ${ratio} times when decompressed and is beyond ${ratioFromBytes} bytes already: refused as a decompression bomb`,
      );
    }
    if (this.#control.isCancelled()) throw new EngineError('unavailable', 'unpacking was cancelled');
  }
}

function verify(what: string, expected: string, actual: string): void {
  if (expected !== actual) throw invalid(`the ${what} is not what its digest says: expected ${expected}, got ${actual}`);
}
