/** Whole lines out of a plain or compressed file that may still grow. A torn last line is not given out. */
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { OpenLog } from './log-chain.ts';

const blockBytes = 64 * 1024;
/** The writer splits lines at 16 KiB; escaped six-fold and with attributes they stay far below this. */
const maxLineBytes = 4 * 1024 * 1024;
const newline = 0x0a;

/** Where in a file reading starts: at a byte, or, where nobody can seek, after so many lines. Of a compressed file, bytes are those of what is in it. */
export interface StartPoint {
  readonly offset: number;
  readonly skipLines: number;
}

export const fromStart: StartPoint = { offset: 0, skipLines: 0 };

/** Bytes in order; 0: no more for now. */
interface ByteSource {
  read(into: Buffer, at: number): Promise<number>;
  close(): void;
}

export class LineReader {
  readonly #file: OpenLog;
  #source: ByteSource;
  /** Of the file, in what was given out. */
  #offset: number;
  #skipLines: number;
  /** Bytes of a line whose end was not read yet, at the start of `#buffer`. */
  #kept = 0;
  #buffer = Buffer.allocUnsafe(blockBytes);

  constructor(file: OpenLog, { offset, skipLines }: StartPoint) {
    this.#file = file;
    this.#offset = offset;
    this.#skipLines = skipLines;
    this.#source = file.compressed ? new GzipSource(file.handle, offset) : new PlainSource(file.handle, offset);
  }

  /** Where the first byte is that was not given out. */
  get offset(): number {
    return this.#offset;
  }

  /** A log of one file only is rotated by emptying it. */
  async restartIfTruncated(): Promise<void> {
    if (this.#file.compressed || (await this.#file.handle.stat()).size >= this.#offset + this.#kept) return;
    this.#offset = 0;
    this.#kept = 0;
    this.#source = new PlainSource(this.#file.handle, 0);
  }

  async *toEnd(): AsyncGenerator<Buffer> {
    for (;;) {
      if (this.#kept === this.#buffer.length) this.#grow();
      const bytesRead = await this.#source.read(this.#buffer, this.#kept);
      if (bytesRead === 0) return;
      const filled = this.#kept + bytesRead;
      const end = this.#buffer.subarray(0, filled).lastIndexOf(newline) + 1;
      this.#offset += end;
      const wanted = this.#afterSkipped(this.#buffer.subarray(0, end));
      if (wanted.length > 0) yield wanted;
      this.#buffer.copyWithin(0, end, filled);
      this.#kept = filled - end;
    }
  }

  close(): void {
    this.#source.close();
  }

  #afterSkipped(lines: Buffer): Buffer {
    let start = 0;
    for (; this.#skipLines > 0 && start < lines.length; this.#skipLines--) start = lines.indexOf(newline, start) + 1;
    return lines.subarray(start);
  }

  #grow(): void {
    if (this.#buffer.length < maxLineBytes) {
      this.#buffer = Buffer.concat([this.#buffer, Buffer.allocUnsafe(this.#buffer.length)]);
      return;
    }
    this.#offset += this.#kept;
    this.#kept = 0;
  }
}

class PlainSource implements ByteSource {
  readonly #handle: FileHandle;
  #offset: number;

  constructor(handle: FileHandle, offset: number) {
    this.#handle = handle;
    this.#offset = offset;
  }

  async read(into: Buffer, at: number): Promise<number> {
    const { bytesRead } = await this.#handle.read(into, at, into.length - at, this.#offset);
    this.#offset += bytesRead;
    return bytesRead;
  }

  close(): void {}
}

/** The streams of a FileHandle keep it from being closed, or close it: neither is wanted. */
export async function* fileChunks(handle: FileHandle): AsyncGenerator<Buffer> {
  for (let offset = 0; ; ) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(blockBytes), 0, blockBytes, offset);
    if (bytesRead === 0) return;
    offset += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

class GzipSource implements ByteSource {
  readonly #unpacked: AsyncIterator<Buffer>;
  readonly #close: () => void;
  #chunk: Buffer = Buffer.alloc(0);
  #skip: number;

  constructor(handle: FileHandle, skip: number) {
    const packed = Readable.from(fileChunks(handle), { objectMode: false });
    const gunzip = createGunzip();
    packed.on('error', (error) => gunzip.destroy(error));
    this.#unpacked = packed.pipe(gunzip)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    this.#close = () => {
      packed.destroy();
      gunzip.destroy();
    };
    this.#skip = skip;
  }

  async read(into: Buffer, at: number): Promise<number> {
    while (this.#chunk.length === 0) {
      const next = await this.#next();
      if (next === null) return 0;
      const skipped = Math.min(this.#skip, next.length);
      this.#skip -= skipped;
      this.#chunk = next.subarray(skipped);
    }
    const length = this.#chunk.copy(into, at);
    this.#chunk = this.#chunk.subarray(length);
    return length;
  }

  close(): void {
    this.#close();
  }

  /** Damage at its end costs a compressed file only what comes after it. */
  async #next(): Promise<Buffer | null> {
    try {
      const { value, done } = await this.#unpacked.next();
      return done === true ? null : value;
    } catch {
      return null;
    }
  }
}

/** Where the last `wanted` lines of a file start; when it has fewer: how many it has. */
export async function findTail(file: OpenLog, wanted: number): Promise<{ readonly start: StartPoint; readonly lines: number }> {
  return file.compressed ? await findTailForwards(file, wanted) : await findTailBackwards(file.handle, wanted);
}

async function findTailForwards(file: OpenLog, wanted: number): Promise<{ readonly start: StartPoint; readonly lines: number }> {
  const reader = new LineReader(file, fromStart);
  let lines = 0;
  try {
    for await (const block of reader.toEnd()) {
      for (let at = block.indexOf(newline); at >= 0; at = block.indexOf(newline, at + 1)) lines++;
    }
  } finally {
    reader.close();
  }
  return { start: { offset: 0, skipLines: Math.max(0, lines - wanted) }, lines: Math.min(lines, wanted) };
}

/** Reads in blocks from the end: the offset of the `wanted`-th line from there, or 0 and how many lines there are. */
async function findTailBackwards(handle: FileHandle, wanted: number): Promise<{ readonly start: StartPoint; readonly lines: number }> {
  const buffer = Buffer.allocUnsafe(blockBytes);
  let lines = -1; // The newline that ends the last line opens no new one.
  for (let end = (await handle.stat()).size; end > 0; ) {
    const start = Math.max(0, end - blockBytes);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    const block = buffer.subarray(0, bytesRead);
    for (let at = block.lastIndexOf(newline); at >= 0; at = at === 0 ? -1 : block.lastIndexOf(newline, at - 1)) {
      lines++;
      if (lines === wanted) return { start: { offset: start + at + 1, skipLines: 0 }, lines };
    }
    end = start;
  }
  return { start: fromStart, lines: lines + 1 };
}
