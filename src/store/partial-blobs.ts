/**
 * Downloads that are not complete, or whose image is not: they stay when a pull is cut or the daemon ends, so that the next one goes on where they end.
 *
 *     <root>/partial/<64 hex>    the first bytes of the blob of this digest, as far as they came; nothing was checked
 *
 * A file belongs to one writer at a time. When its bytes proved to be those of its name it becomes a blob (`BlobStore.adoptAll`). What nobody came back for goes at open.
 */
import { type FileHandle, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../base/brand.ts';
import { EngineError, hasErrnoCode } from '../base/errors.ts';
import { digestHex, isDigest } from '../oci/digest.ts';
import { diskError } from './disk-error.ts';

export interface PartialBlobs {
  /** With what is there already, possibly nothing. Nobody else may have it open. */
  open(digest: Digest): Promise<PartialBlob>;
  /** What nobody has open, as far as it is not a blob already. */
  idle(): Promise<readonly { readonly digest: Digest; readonly path: string; readonly sizeBytes: number }[]>;
  /** Removes what nobody has open, as far as it is not wanted. */
  removeIdle(isWanted?: (digest: Digest) => boolean): Promise<{ readonly reclaimedBytes: number }>;
  /** Files that are no such thing. */
  strangers(): Promise<readonly string[]>;
}

export interface PartialBlob {
  readonly digest: Digest;
  readonly path: string;
  /** In the file: may be read by others. */
  readonly sizeBytes: number;
  /** With what is on its way to the file. */
  readonly acceptedBytes: number;
  /** Resolves when more may come: what came before may still be on its way to the file. */
  append(bytes: Uint8Array): Promise<void>;
  /** All that was appended is in the file. */
  flush(): Promise<void>;
  /** Shortens it to nothing. */
  restart(): Promise<void>;
  /** The file stays. */
  close(): Promise<void>;
  discard(): Promise<void>;
  /** Called when more is in the file. */
  onWritten(listener: (sizeBytes: number) => void): void;
}

/** Written at once at most, and kept in memory besides what is being written. */
const gatherBytes = 1024 * 1024;
const keepMs = 7 * 24 * 3600 * 1000;
const keepBytes = 32 * 1024 ** 3;

export async function openPartialBlobs(root: string): Promise<PartialBlobs> {
  const store = new PartialDirectory(join(root, 'partial'));
  await store.clean(Date.now());
  return store;
}

interface Idle {
  readonly digest: Digest;
  readonly path: string;
  readonly sizeBytes: number;
  readonly changedAt: number;
}

class PartialDirectory implements PartialBlobs {
  readonly #directory: string;
  readonly #open = new Set<Digest>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(digest: Digest): Promise<PartialBlob> {
    if (this.#open.has(digest)) throw new EngineError('system', `the unfinished download of ${digest} is open already`);
    this.#open.add(digest);
    const path = join(this.#directory, digestHex(digest));
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      const file = await open(path, 'a', 0o600);
      const { size } = await file.stat();
      return new PartialFile(digest, path, file, size, () => void this.#open.delete(digest));
    } catch (thrown) {
      this.#open.delete(digest);
      throw diskError(thrown, `the download of ${digest}`, this.#directory);
    }
  }

  async idle(): Promise<readonly Idle[]> {
    const found: Idle[] = [];
    for (const name of await this.#names()) {
      const digest = `sha256:${name}`;
      if (!isDigest(digest) || this.#open.has(digest)) continue;
      const path = join(this.#directory, name);
      const stats = await stat(path).catch(() => null);
      if (stats?.isFile()) found.push({ digest, path, sizeBytes: stats.size, changedAt: stats.mtimeMs });
    }
    return found;
  }

  async removeIdle(isWanted: (digest: Digest) => boolean = () => false): Promise<{ readonly reclaimedBytes: number }> {
    return await this.#remove((await this.idle()).filter(({ digest }) => !isWanted(digest)));
  }

  async strangers(): Promise<readonly string[]> {
    return (await this.#names()).filter((name) => !isDigest(`sha256:${name}`)).map((name) => join(this.#directory, name));
  }

  /** The newest stay, as far as they are not too old or too many. */
  async clean(now: number): Promise<void> {
    const newestFirst = [...(await this.idle())].sort((one, other) => other.changedAt - one.changedAt);
    let kept = 0;
    const leaving = newestFirst.filter(({ sizeBytes, changedAt }) => {
      if (changedAt < now - keepMs || sizeBytes === 0 || kept + sizeBytes > keepBytes) return true;
      kept += sizeBytes;
      return false;
    });
    await this.#remove(leaving);
  }

  async #remove(files: readonly Idle[]): Promise<{ readonly reclaimedBytes: number }> {
    let reclaimedBytes = 0;
    for (const { digest, path, sizeBytes } of files) {
      // Somebody may have come back for it.
      if (this.#open.has(digest)) continue;
      // Until it is gone nobody may begin with it.
      this.#open.add(digest);
      try {
        await rm(path, { force: true });
        reclaimedBytes += sizeBytes;
      } finally {
        this.#open.delete(digest);
      }
    }
    return { reclaimedBytes };
  }

  async #names(): Promise<readonly string[]> {
    try {
      return await readdir(this.#directory);
    } catch (thrown) {
      if (hasErrnoCode(thrown, 'ENOENT')) return [];
      throw thrown;
    }
  }
}

class PartialFile implements PartialBlob {
  readonly digest: Digest;
  readonly path: string;
  readonly #file: FileHandle;
  readonly #release: () => void;
  #sizeBytes: number;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #acceptedBytes: number;
  #writing: Promise<void> | null = null;
  #failure: unknown = null;
  #closed = false;
  #written: (sizeBytes: number) => void = () => {};

  constructor(digest: Digest, path: string, file: FileHandle, sizeBytes: number, release: () => void) {
    this.digest = digest;
    this.path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.#acceptedBytes = sizeBytes;
    this.#release = release;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get acceptedBytes(): number {
    return this.#acceptedBytes;
  }

  onWritten(listener: (sizeBytes: number) => void): void {
    this.#written = listener;
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    this.#acceptedBytes += bytes.length;
    this.#writing ??= this.#write();
    while (this.#gatheredBytes >= gatherBytes && this.#writing !== null) await this.#writing;
    if (this.#failure !== null) throw this.#failure;
  }

  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    if (this.#failure !== null) throw this.#failure;
  }

  async restart(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    this.#failure = null;
    await this.#file.truncate(0);
    this.#sizeBytes = 0;
    this.#acceptedBytes = 0;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#writing !== null) await this.#writing;
    await this.#file.close();
    this.#release();
  }

  async discard(): Promise<void> {
    if (this.#closed) return;
    await rm(this.path, { force: true });
    await this.close();
  }

  /** Until nothing is gathered any more; never rejects: whoever appends next is told. */
  async #write(): Promise<void> {
    try {
      while (this.#gathered.length > 0) {
        const batch = this.#gathered;
        const length = this.#gatheredBytes;
        this.#gathered = [];
        this.#gatheredBytes = 0;
        await this.#writeAll(batch, length);
        this.#sizeBytes += length;
        this.#written(this.#sizeBytes);
      }
    } catch (thrown) {
      this.#gathered = [];
      this.#gatheredBytes = 0;
      this.#failure = diskError(thrown, `the download of ${this.digest}`, this.path);
    } finally {
      this.#writing = null;
    }
  }

  async #writeAll(batch: readonly Uint8Array[], length: number): Promise<void> {
    const { bytesWritten } = await this.#file.writev(batch);
    if (bytesWritten === length) return;
    // Rare: a signal, or a disk that is nearly full.
    const rest = Buffer.concat(batch).subarray(bytesWritten);
    for (let done = 0; done < rest.length; ) done += (await this.#file.write(rest, done)).bytesWritten;
  }
}
