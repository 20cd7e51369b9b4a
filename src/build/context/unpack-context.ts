/**
 * An archive from anywhere as a context, in a worker thread, in one pass. Later entries replace earlier ones; names mean nothing but themselves (a `.wh.x` is a file called so).
 *
 * What speaks to overlay instead of being a file is left out: devices 0:0, which are its whiteouts.
 */
import { readSync } from 'node:fs';
import { decompress } from '../../archive/compression.ts';
import { BLOCK_BYTES, defaultTarLimits, type TarEntry, type TarLimits } from '../../archive/tar-entry.ts';
import { isZeroBlock, parseHeader } from '../../archive/tar-header.ts';
import { type TarHandler, TarReader } from '../../archive/tar-reader.ts';
import { printableName } from '../../base/byte-name.ts';
import { invalid } from '../../base/errors.ts';
import type { ListedFile } from '../../base/file-list.ts';
import type { OpenDirectory } from '../../store/open-directories.ts';
import { type ContextFile, type ContextLimits, type ContextTree, contextNameBytes } from './context-tree.ts';

const READ_BYTES = 256 * 1024;
/** Decompressed to compressed bytes, looked at only beyond the second: gzip reaches 1,030 at most. */
const BOMB = { ratio: 200, fromBytes: 4 * 1024 ** 3 } as const;

/** The descriptor is the caller's to close. */
export async function unpackContext(readEnd: number, tree: ContextTree, limits: ContextLimits, checkpoint: () => void): Promise<void> {
  const writer = new ArchiveWriter(tree, checkpoint);
  const tarLimits: TarLimits = { ...defaultTarLimits, nameBytes: contextNameBytes, entries: limits.entries, fileBytes: limits.bytes };
  try {
    const reader = new TarReader(writer, tarLimits);
    for await (const chunk of plainChunks(readEnd)) {
      checkpoint();
      reader.push(chunk);
    }
    // The pipe ends when the sender left, too.
    checkpoint();
    reader.end();
  } finally {
    writer.close();
  }
}

/** Whether the bytes, decompressed, begin with the header of a tar's entry. Content decides, not a name. */
export async function isArchive(file: number): Promise<boolean> {
  let start: Uint8Array = new Uint8Array(0);
  try {
    for await (const chunk of decompress(chunksOf(file, () => {}))) {
      start = Buffer.concat([start, chunk]);
      if (start.length >= BLOCK_BYTES) break;
    }
    if (start.length < BLOCK_BYTES || isZeroBlock(start)) return false;
    parseHeader(start.subarray(0, BLOCK_BYTES));
    return true;
  } catch {
    return false;
  }
}

async function* plainChunks(readEnd: number): AsyncGenerator<Uint8Array, void, undefined> {
  let [compressed, plain] = [0, 0];
  for await (const chunk of decompress(chunksOf(readEnd, (bytes) => (compressed += bytes)))) {
    plain += chunk.length;
    if (plain > BOMB.fromBytes && plain > BOMB.ratio * compressed) {
      throw invalid(`the archive grows by more than ${BOMB.ratio} times when decompressed: refused as a decompression bomb`);
    }
    yield chunk;
  }
}

function* chunksOf(readEnd: number, count: (bytes: number) => void): Generator<Uint8Array, void, undefined> {
  for (;;) {
    // A buffer of its own for every chunk: the decompressor may still hold the last one.
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    const length = readSync(readEnd, buffer, 0, buffer.length, null);
    if (length === 0) return;
    count(length);
    yield buffer.subarray(0, length);
  }
}

class ArchiveWriter implements TarHandler {
  readonly #tree: ContextTree;
  readonly #checkpoint: () => void;
  #file: { readonly file: ContextFile; readonly entry: TarEntry } | null = null;

  constructor(tree: ContextTree, checkpoint: () => void) {
    this.#tree = tree;
    this.#checkpoint = checkpoint;
  }

  entry(entry: TarEntry): void {
    this.#tree.settle();
    if (isWhiteout(entry)) return;
    checkNumbers(entry);
    const components = componentsInside(entry.path, entry);
    const name = components.pop();
    // Attributes of the context's root reach nothing: COPY makes its own.
    if (name === undefined) requireDirectory(entry);
    else this.#make(this.#tree.parent(components), name, entry);
  }

  #make(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const listed = listedOf(entry);
    if (entry.type === 'file') this.#file = { file: this.#tree.file(parent, name, listed), entry };
    else if (entry.type === 'hard-link') this.#link(parent, name, entry, listed);
    else this.#tree.make(parent, name, listed);
  }

  content(bytes: Uint8Array, offset: number): void {
    if (this.#file === null) return;
    const { file, entry } = this.#file;
    file.write(bytes, offset, offset + bytes.length === entry.sizeBytes, this.#checkpoint);
  }

  endOfEntry(): void {
    if (this.#file === null) return;
    const { file, entry } = this.#file;
    this.#file = null;
    file.finish(entry.sizeBytes, this.#checkpoint);
  }

  /** Also after an error. */
  close(): void {
    this.#file?.file.abandon();
    this.#file = null;
  }

  #link(parent: OpenDirectory, name: string, entry: TarEntry, listed: ListedFile): void {
    const target = componentsInside(entry.linkTarget, entry);
    const targetName = target.pop();
    this.#tree.hardLink(parent, name, targetName === undefined ? null : this.#tree.directory(target), targetName ?? '', listed);
  }
}

function listedOf(entry: TarEntry): ListedFile {
  const { path, type, mode, sizeBytes, modifiedAt, linkTarget, deviceMajor, deviceMinor, extendedAttributes } = entry;
  return { path, type, mode, sizeBytes, modifiedAt, linkTarget, deviceMajor, deviceMinor, extendedAttributes };
}

function requireDirectory(entry: TarEntry): void {
  if (entry.type === 'directory') return;
  throw invalid(`the build context has an entry for its root that is not a directory but a ${entry.type}`);
}

/** Absolute paths start at the context's root; `..` is taken back by its text, and refused where it leads out. */
function componentsInside(path: string, entry: TarEntry): string[] {
  const result: string[] = [];
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') result.push(name);
    else if (result.pop() === undefined) throw invalid(`the build context has an entry that leads out of it: ${printableName(entry.path)}`);
  }
  return result;
}

function isWhiteout(entry: TarEntry): boolean {
  return entry.type === 'character-device' && entry.deviceMajor === 0 && entry.deviceMinor === 0;
}

/** What the kernel would cut short: a device of 0:0 must not come in by overflow. */
function checkNumbers(entry: TarEntry): void {
  if (entry.deviceMajor <= 0xfff && entry.deviceMinor <= 0xfffff) return;
  throw invalid(
    `the build context has a device ${entry.deviceMajor}:${entry.deviceMinor}, which is out of range: ${printableName(entry.path)}`,
  );
}
