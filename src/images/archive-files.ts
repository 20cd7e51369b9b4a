/**
 * The files of an image archive, staged while the tar streams by: nothing of it is ever whole in memory, and nothing is visible in the store
 * until an image is known to need it. Which file is what is known only when `manifest.json` or `index.json` has come, often as the last one.
 *
 * Symbolic and hard links are kept as names: Docker before 1.13 wrote equal layers as links to each other.
 */
import { posix } from 'node:path';
import { decompress } from '../archive/compression.ts';
import { readTar, type StreamedEntry } from '../archive/tar-stream.ts';
import { EngineError, errorText, invalid } from '../base/errors.ts';
import type { BlobStore, ByteSource, StagedBlob } from '../store/blobs.ts';
import { readStart } from '../store/blobs.ts';
import { defaultUnpackLimits } from '../store/unpack-limits.ts';

/** An image archive has a few files a layer; a root file system has thousands in all. */
const entriesLimit = 16_384;
const linksLimit = 16;

type ArchiveFile = { readonly kind: 'file'; readonly staged: StagedBlob } | { readonly kind: 'link'; readonly to: string };

export class ArchiveFiles implements AsyncDisposable {
  readonly #files = new Map<string, ArchiveFile>();

  /** Reads the archive to its end; on an error nothing is left. */
  static async read(source: ByteSource, blobs: BlobStore, signal?: AbortSignal): Promise<ArchiveFiles> {
    const files = new ArchiveFiles();
    try {
      for await (const streamed of readTar(withinRatio(source), { entries: entriesLimit })) await files.#take(streamed, blobs, signal);
      return files;
    } catch (thrown) {
      await files[Symbol.asyncDispose]();
      throw unreadable(thrown);
    }
  }

  has(path: string): boolean {
    return this.#find(path) !== null;
  }

  /** For messages: a few names of what is in the archive. */
  sample(): string {
    const names = [...this.#files.keys()].slice(0, 3);
    return names.length === 0 ? 'it is empty' : `found ${names.join(', ')}${this.#files.size > names.length ? ', …' : ''}`;
  }

  /** `invalid` when it is not there. */
  file(path: string): StagedBlob {
    const staged = this.#find(path);
    if (!staged) throw invalid(`the image archive has no file ${JSON.stringify(path)}, which its manifest names`);
    return staged;
  }

  async bytes(path: string, limitBytes: number): Promise<Buffer> {
    const staged = this.file(path);
    if (staged.sizeBytes > limitBytes) {
      throw invalid(`${path} in the image archive has ${staged.sizeBytes} bytes, more than the ${limitBytes} allowed for it`);
    }
    return await readStart(staged.path, staged.sizeBytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) if (file.kind === 'file') await file.staged.discard();
    this.#files.clear();
  }

  async #take({ entry, content }: StreamedEntry, blobs: BlobStore, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const path = normalized(entry.path);
    if (entry.type === 'directory') return;
    if (entry.type === 'file') {
      // A header of a few bytes may announce a hole of terabytes, which staging would write out.
      if (entry.extents !== null) throw invalid(`${path} is stored as a sparse file: make the archive without --sparse`);
      const staged = await blobs.stage(content, { what: `${path} of the image archive`, ...(signal ? { signal } : {}) });
      await this.#set(path, { kind: 'file', staged });
    } else if (entry.type === 'symbolic-link') {
      await this.#set(path, { kind: 'link', to: normalized(posix.join(posix.dirname(path), entry.linkTarget)) });
    } else if (entry.type === 'hard-link') {
      await this.#set(path, { kind: 'link', to: normalized(entry.linkTarget) });
    } else {
      throw notAnImage(`${path} is a ${entry.type}`);
    }
  }

  /** The last of several files of one name counts, as in every tar reader. */
  async #set(path: string, file: ArchiveFile): Promise<void> {
    const before = this.#files.get(path);
    if (before?.kind === 'file') await before.staged.discard();
    this.#files.set(path, file);
  }

  #find(path: string): StagedBlob | null {
    let at = normalized(path);
    for (let hops = 0; hops <= linksLimit; hops++) {
      const file = this.#files.get(at);
      if (!file) return null;
      if (file.kind === 'file') return file.staged;
      at = file.to;
    }
    throw invalid(`the links of ${JSON.stringify(path)} in the image archive lead in a circle`);
  }
}

/** The plain bytes, as long as they are not absurdly more than what came: a small archive must not fill the disk. */
async function* withinRatio(source: ByteSource): AsyncGenerator<Uint8Array> {
  const { ratio, ratioFromBytes } = defaultUnpackLimits;
  const bytes = { came: 0, plain: 0 };
  async function* counted() {
    for await (const chunk of source) {
      bytes.came += chunk.length;
      yield chunk;
    }
  }
  for await (const chunk of decompress(counted())) {
    bytes.plain += chunk.length;
    if (bytes.plain > ratioFromBytes && bytes.plain > bytes.came * ratio) {
      throw invalid(`it grows to more than ${ratio} times its size when it is decompressed; decompress it first if it is honest`);
    }
    yield chunk;
  }
}

export function notAnImage(found: string): EngineError {
  return invalid(
    `this is not an image archive: it has neither manifest.json nor index.json at its top (${found}); to make an image of a root file system use import`,
  );
}

/** Names are keys here, never paths on a disk; `..` is refused because no honest archive has it. */
function normalized(path: string): string {
  const clean = posix
    .normalize(path)
    .replace(/^(?:\.?\/)+/, '')
    .replace(/\/$/, '');
  if (clean === '..' || clean.startsWith('../'))
    throw invalid(`the image archive has a path that leads out of it: ${JSON.stringify(path)}`);
  return clean;
}

function unreadable(thrown: unknown): unknown {
  if (!(thrown instanceof EngineError) || thrown.code !== 'invalid') return thrown;
  return invalid(`cannot read the image archive: ${errorText(thrown)}`, { cause: thrown });
}
