/**
 * One layer from blob to directory, in one pass and verified at the end; runs in a worker thread.
 *
 *   blob ──▶ sha256 ──▶ decompress ──▶ sha256 (diffID) ──▶ tar reader ──▶ layer writer ──▶ <directory>/fs
 *
 * `directory` must not exist. It gets `fs` and `layer.json`, both on the disk when this returns; whatever goes wrong, the caller removes it.
 *
 * The blob may still be growing (`blob-growth.ts`): then it is followed, and whether its bytes are those of its digest is always found out first, so that damage on
 * the way can be told from a layer that is not what its image says.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { decompress } from '../archive/compression.ts';
import { TarReader } from '../archive/tar-reader.ts';
import type { DiffId, Digest } from '../base/brand.ts';
import { EngineError, invalid } from '../base/errors.ts';
import { closeDescriptor } from '../linux/file-calls.ts';
import { openRoot } from '../linux/path-in-root.ts';
import { type BlobBytes, Cancelled, FileBytes, GrowingBytes, SourceEnded, SourceRestarted } from './blob-bytes.ts';
import { commitLayer } from './commit-layer.ts';
import type { LayerRecord } from './layer-record.ts';
import { LayerStack } from './layer-stack.ts';
import { LayerWriter } from './layer-writer.ts';
import { NeedsParents } from './merged-walk.ts';
import { OwnTree } from './own-tree.ts';
import type { UnpackControl } from './unpack-control.ts';
import type { UnpackLimits } from './unpack-limits.ts';

export interface UnpackJob {
  readonly blobPath: string;
  readonly blob: Digest;
  readonly diffId: DiffId;
  /** Null: the blob is only compared with its digests, nothing is written. */
  readonly directory: string | null;
  /** Of a blob that is still being written, with its size when it will be whole. */
  readonly growing: { readonly shared: SharedArrayBuffer; readonly sizeBytes: number } | null;
  /** `fs` directories of the layers below, topmost first; null: by itself. */
  readonly lowers: readonly string[] | null;
  readonly limits: UnpackLimits;
}

export type UnpackOutcome =
  | { readonly kind: 'unpacked'; readonly record: LayerRecord }
  | { readonly kind: 'needs-parents' }
  | { readonly kind: 'verified' }
  /** Of growing blobs: the bytes are not those of the digest; this epoch of the file was read. */
  | { readonly kind: 'wrong-blob'; readonly epoch: number; readonly found: string }
  /** It began again from byte 0 while it was read. */
  | { readonly kind: 'restarted' }
  /** No more bytes will come. */
  | { readonly kind: 'ended' };

export async function unpackLayer(job: UnpackJob, control: UnpackControl): Promise<UnpackOutcome> {
  using bytes = job.growing === null ? new FileBytes(job.blobPath, control) : new GrowingBytes(job.blobPath, job.growing, control);
  try {
    return job.directory === null ? await compare(job, bytes, control) : await unpack(job, job.directory, bytes, control);
  } catch (error) {
    if (error instanceof SourceRestarted) return { kind: 'restarted' };
    if (error instanceof SourceEnded) return { kind: 'ended' };
    if (error instanceof WrongBlob) return { kind: 'wrong-blob', epoch: bytes.epoch, found: error.found };
    throw error;
  }
}

async function compare(job: UnpackJob, bytes: BlobBytes, control: UnpackControl): Promise<UnpackOutcome> {
  await new BlobPass(job, bytes, control).run(null);
  return { kind: 'verified' };
}

async function unpack(job: UnpackJob, directory: string, bytes: BlobBytes, control: UnpackControl): Promise<UnpackOutcome> {
  mkdirSync(join(directory, 'fs'), { recursive: true });
  // Whatever the umask is. Layers that don't list their root look so.
  chmodSync(join(directory, 'fs'), 0o755);
  chmodSync(directory, 0o700);
  mkdirSync(join(directory, 'trash'), { mode: 0o700 });
  const root = openRoot(join(directory, 'fs'));
  const trash = openRoot(join(directory, 'trash'));
  const tree = new OwnTree(root, trash, job.limits.nameBytes);
  const writer = new LayerWriter(tree, job.lowers === null ? null : new LayerStack(job.lowers), job.limits);
  try {
    await new BlobPass(job, bytes, control).run(writer);
    const record: LayerRecord = { diffId: job.diffId, ...writer.finish() };
    rmdirSync(join(directory, 'trash'));
    commitLayer(directory, record);
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

/** The blob's bytes are not those of its digest. */
class WrongBlob extends Error {
  readonly found: string;

  constructor(found: string) {
    super('the blob is not what its digest says');
    this.found = found;
  }
}

/** Reads the blob once, keeping both digests and the budgets. */
class BlobPass {
  readonly #job: UnpackJob;
  readonly #bytes: BlobBytes;
  readonly #control: UnpackControl;
  #plainBytes = 0;

  constructor(job: UnpackJob, bytes: BlobBytes, control: UnpackControl) {
    this.#job = job;
    this.#bytes = bytes;
    this.#control = control;
  }

  async run(writer: LayerWriter | null): Promise<void> {
    const { growing, diffId } = this.#job;
    try {
      const found = await this.#readPlain(writer);
      await this.#verifyBlob();
      if (found !== diffId) throw invalid(`the uncompressed layer is not what its digest says: expected ${diffId}, got ${found}`);
    } catch (error) {
      // A byte that changed on its way shows as a damaged stream or archive long before the digest does.
      if (growing !== null && isContentError(error)) await this.#verifyBlob();
      throw error;
    }
  }

  /** The digest of the uncompressed layer. */
  async #readPlain(writer: LayerWriter | null): Promise<string> {
    const hash = createHash('sha256');
    const tar = writer === null ? null : new TarReader(writer, this.#job.limits);
    for await (const chunk of decompress(this.#bytes.chunks(), { zstdWindowLog: this.#job.limits.zstdWindowLog })) {
      this.#plainBytes += chunk.length;
      this.#checkBudget();
      hash.update(chunk);
      tar?.push(chunk);
    }
    tar?.end();
    return `sha256:${hash.digest('hex')}`;
  }

  /** Reads what is left of it. */
  async #verifyBlob(): Promise<void> {
    const { blob, growing } = this.#job;
    const found = await this.#bytes.digest();
    if (found === blob) return;
    if (growing !== null) throw new WrongBlob(found);
    throw invalid(`the blob is not what its digest says: expected ${blob}, got ${found}`);
  }

  #checkBudget(): void {
    const { layerBytes, ratio, ratioFromBytes } = this.#job.limits;
    if (this.#plainBytes > layerBytes) throw invalid(`the uncompressed layer is larger than ${layerBytes} bytes, the limit`);
    if (this.#plainBytes > ratioFromBytes && this.#plainBytes > ratio * this.#bytes.doneBytes) {
      throw invalid(
        `the layer grows by more than ${ratio} times when decompressed and is beyond ${ratioFromBytes} bytes already: refused as a decompression bomb`,
      );
    }
    if (this.#control.isCancelled()) throw new Cancelled();
  }
}

/** Says something about the layer's bytes, and nothing about the disk or whoever waits. */
function isContentError(error: unknown): boolean {
  return error instanceof NeedsParents || (error instanceof EngineError && error.code === 'invalid');
}
