/**
 * Reads the json-file log of a container, rotated by rename, while it is being written:
 *
 *   FILE.2 ──▶ FILE.1 ──▶ FILE        oldest to newest; on rotation every name moves one to the left
 *
 * Never misses or doubles a line: a reader holds the file it reads open, so its inode says where that file is now, and the next one is the name to the
 * right of it. Only whole lines are given out; a torn last line (a crash of the writer) is dropped when a newer file follows it.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';

export interface LogFiles {
  readonly path: string;
  readonly maxFiles: number;
}

/** Tells a follower that there may be more. `revision` changes with every piece of news, so news that comes while reading is not lost. */
export interface LogNews {
  readonly revision: number;
  readonly generation: number;
  /** Nothing will be written any more. */
  readonly ended: boolean;
  /** Resolves when `revision` is no longer `seen`. */
  changed(seen: number): Promise<void>;
}

export interface LogReadOptions {
  /** Lines from the end; null: all. */
  readonly tail: number | null;
  readonly news: LogNews | null;
}

const blockBytes = 64 * 1024;
/** The writer splits lines at 16 KiB; escaped six-fold and with attributes they stay far below this. */
const maxLineBytes = 4 * 1024 * 1024;
const newline = 0x0a;

interface OpenFile {
  readonly handle: FileHandle;
  readonly inode: bigint;
}

/** Blocks of whole lines, each ending in a newline. A block is only valid until the next one is asked for. */
export async function* readLogBlocks(files: LogFiles, options: LogReadOptions): AsyncGenerator<Buffer> {
  const opened = await openAll(files);
  try {
    let offset = await skipToTail(opened, options.tail);
    let generation = options.news?.generation ?? 0;
    for (let file = opened.shift(); file !== undefined; file = opened.shift()) {
      const reader = new LineReader(file.handle, offset);
      offset = 0;
      try {
        if (opened.length > 0 || options.news === null) yield* reader.toEnd();
        else {
          yield* follow(reader, file, files, options.news, generation);
          const next = await nextFile(files, file.inode);
          if (next !== null) opened.push(next);
          generation = options.news.generation;
        }
      } finally {
        await file.handle.close();
      }
    }
  } finally {
    for (const file of opened) await file.handle.close();
  }
}

/** Ends when the file is finished: rotated away and read, or nothing writes any more. */
async function* follow(reader: LineReader, file: OpenFile, files: LogFiles, news: LogNews, from: number): AsyncGenerator<Buffer> {
  for (let generation = from; ; ) {
    const seen = news.revision;
    const { ended } = news;
    const rotated = (ended || news.generation !== generation) && !(await isCurrent(files, file.inode));
    generation = news.generation;
    await reader.restartIfTruncated();
    yield* reader.toEnd();
    if (rotated || ended) return;
    await news.changed(seen);
  }
}

async function isCurrent(files: LogFiles, inode: bigint): Promise<boolean> {
  return (await inodeOf(files.path)) === inode;
}

/** The file written after the one with this inode; null when it is the newest. */
async function nextFile(files: LogFiles, inode: bigint): Promise<OpenFile | null> {
  for (;;) {
    const index = await indexOf(files, inode);
    if (index === 0) return null;
    // Rotated out of reach while a slow reader held it: go on with the oldest that is left.
    const next = index === null ? await openOldest(files) : await openFile(fileName(files, index - 1));
    if (next === null) {
      if (index === null) return null;
      continue;
    }
    // Renamed between the look-up and the open: what was opened may be a later file.
    if ((await indexOf(files, inode)) === index) return next;
    await next.handle.close();
  }
}

async function openOldest(files: LogFiles): Promise<OpenFile | null> {
  for (let index = files.maxFiles - 1; index >= 0; index--) {
    const file = await openFile(fileName(files, index));
    if (file !== null) return file;
  }
  return null;
}

async function indexOf(files: LogFiles, inode: bigint): Promise<number | null> {
  for (let index = 0; index < Math.max(1, files.maxFiles); index++) {
    if ((await inodeOf(fileName(files, index))) === inode) return index;
  }
  return null;
}

/** All files, oldest first, as they were at one moment: when the newest name changed hands meanwhile, once more. */
async function openAll(files: LogFiles): Promise<OpenFile[]> {
  for (;;) {
    const opened: OpenFile[] = [];
    for (let index = 0; index < Math.max(1, files.maxFiles); index++) {
      const file = await openFile(fileName(files, index));
      if (file !== null) opened.unshift(file);
    }
    const newest = opened.at(-1);
    if (newest === undefined || (await isCurrent(files, newest.inode))) return opened;
    for (const file of opened) await file.handle.close();
  }
}

function fileName(files: LogFiles, index: number): string {
  return index === 0 ? files.path : `${files.path}.${index}`;
}

async function openFile(path: string): Promise<OpenFile | null> {
  try {
    const handle = await open(path, 'r');
    return { handle, inode: (await handle.stat({ bigint: true })).ino };
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return null;
    throw error;
  }
}

async function inodeOf(path: string): Promise<bigint | null> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/** Drops the files before the tail's first line and says where it starts in the first that is left. */
async function skipToTail(opened: OpenFile[], tail: number | null): Promise<number> {
  if (tail === null) return 0;
  let missing = tail;
  for (let index = opened.length - 1; index >= 0; index--) {
    const found = await findTail((opened[index] as OpenFile).handle, missing);
    if (found.lines < missing && index > 0) {
      missing -= found.lines;
      continue;
    }
    for (const file of opened.splice(0, index)) await file.handle.close();
    return found.offset;
  }
  return 0;
}

/** Reads backwards in blocks: the offset of the `wanted`-th line from the end, or 0 and how many lines there are. */
async function findTail(handle: FileHandle, wanted: number): Promise<{ readonly offset: number; readonly lines: number }> {
  const buffer = Buffer.allocUnsafe(blockBytes);
  let lines = -1; // The newline that ends the last line opens no new one.
  for (let end = (await handle.stat()).size; end > 0; ) {
    const start = Math.max(0, end - blockBytes);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    const block = buffer.subarray(0, bytesRead);
    for (let at = block.lastIndexOf(newline); at >= 0; at = at === 0 ? -1 : block.lastIndexOf(newline, at - 1)) {
      lines++;
      if (lines === wanted) return { offset: start + at + 1, lines };
    }
    end = start;
  }
  return { offset: 0, lines: lines + 1 };
}

class LineReader {
  readonly #handle: FileHandle;
  #offset: number;
  /** Bytes of a line whose end was not read yet, at the start of `#buffer`. */
  #kept = 0;
  #buffer = Buffer.allocUnsafe(blockBytes);

  constructor(handle: FileHandle, offset: number) {
    this.#handle = handle;
    this.#offset = offset;
  }

  /** A log of one file only is rotated by emptying it. */
  async restartIfTruncated(): Promise<void> {
    if ((await this.#handle.stat()).size >= this.#offset) return;
    this.#offset = 0;
    this.#kept = 0;
  }

  async *toEnd(): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#kept === this.#buffer.length) this.#grow();
      const { bytesRead } = await this.#handle.read(this.#buffer, this.#kept, this.#buffer.length - this.#kept, this.#offset);
      if (bytesRead === 0) return;
      this.#offset += bytesRead;
      const filled = this.#kept + bytesRead;
      const end = this.#buffer.subarray(0, filled).lastIndexOf(newline) + 1;
      if (end > 0) yield this.#buffer.subarray(0, end);
      this.#buffer.copyWithin(0, end, filled);
      this.#kept = filled - end;
    }
  }

  #grow(): void {
    if (this.#buffer.length >= maxLineBytes) this.#kept = 0;
    else this.#buffer = Buffer.concat([this.#buffer, Buffer.allocUnsafe(this.#buffer.length)]);
  }
}
