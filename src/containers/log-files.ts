/**
 * Reads the log of a container (the chain of files of `log-chain.ts`) while it is being written, rotated and compressed.
 *
 * Never misses or doubles a line: a reader holds the file it reads open, so it knows where that file is now, and the next one is the name to the right of it.
 * Only whole lines are given out; a torn last line (a crash of the writer) is dropped when a newer file follows it. What was deleted before a slow reader came
 * to it is lost to that reader, and nothing else.
 */
import { idOf, type LogFileId, type LogFiles, type OpenLog, openChain, openNext } from './log-chain.ts';
import { findTail, fromStart, LineReader, type StartPoint } from './log-lines.ts';

/** Tells a follower that there may be more. `revision` changes with every piece of news, so news that comes while reading is not lost. */
export interface LogNews {
  readonly revision: number;
  readonly generation: number;
  /** Nothing will be written any more. */
  readonly ended: boolean;
  /** Resolves when `revision` is no longer `seen`. */
  changed(seen: number): Promise<void>;
}

/** The first byte that was not read yet. Of a compressed file, in what is in it. */
export interface LogCursor {
  readonly file: LogFileId;
  readonly offset: number;
}

export interface LogReadOptions {
  /** Lines from the end; null: all. */
  readonly tail: number | null;
  readonly news: LogNews | null;
  /** Files that were last written before this are left out as a whole, unless there is a tail to count. */
  readonly sinceMs?: number | null;
  /** Where an earlier reader got to; when that file is gone, everything is given out. */
  readonly from?: LogCursor | null;
}

export interface LogBlock {
  /** Whole lines, each ending in a newline. Only valid until the next block is asked for. */
  readonly lines: Buffer;
  readonly end: LogCursor;
}

export async function* readLogBlocks(files: LogFiles, options: LogReadOptions): AsyncGenerator<LogBlock> {
  // Before the files are opened: a rotation in between is looked for once more than needed, rather than missed.
  let generation = options.news?.generation ?? 0;
  const opened = await openChain(files);
  try {
    let start = await skipToStart(opened, options);
    for (let file = opened.shift(); file !== undefined; file = opened.shift()) {
      const reader = new LineReader(file, start);
      start = fromStart;
      try {
        if (opened.length > 0 || options.news === null) yield* blocksOf(file, reader);
        else {
          yield* follow(file, reader, files, options.news, generation);
          const next = await openNext(files, file);
          if (next !== null) opened.push(next);
          generation = options.news.generation;
        }
      } finally {
        reader.close();
        await file.close();
      }
    }
  } finally {
    for (const file of opened) await file.close();
  }
}

async function* blocksOf(file: OpenLog, reader: LineReader): AsyncGenerator<LogBlock> {
  for await (const lines of reader.toEnd()) yield { lines, end: { file: file.id, offset: reader.offset } };
}

/** Ends when the file is finished: rotated away and read, or nothing writes any more. */
async function* follow(file: OpenLog, reader: LineReader, files: LogFiles, news: LogNews, from: number): AsyncGenerator<LogBlock> {
  for (let generation = from; ; ) {
    const seen = news.revision;
    const { ended } = news;
    const now = news.generation;
    const look = ended || now !== generation || file.compressed;
    const next = look ? await openNext(files, file) : null;
    await next?.close();
    // Rotated, but the next file is not there yet: looked for again with the next line.
    if (look && (await idOf(files.path)) === file.id) generation = now;
    await reader.restartIfTruncated();
    yield* blocksOf(file, reader);
    if (next !== null || ended) return;
    await news.changed(seen);
  }
}

/** Closes the files before the start and says where it is in the first that is left. */
async function skipToStart(opened: OpenLog[], { tail, from, sinceMs }: LogReadOptions): Promise<StartPoint> {
  if (from !== undefined && from !== null) return await skipToCursor(opened, from);
  if (tail !== null) return await skipToTail(opened, tail);
  if (sinceMs !== undefined && sinceMs !== null) {
    const first = opened.findIndex(({ modifiedMs }) => modifiedMs >= sinceMs);
    // The newest stays: a follower needs it.
    await closeFirst(opened, first === -1 ? opened.length - 1 : first);
  }
  return fromStart;
}

async function skipToCursor(opened: OpenLog[], { file, offset }: LogCursor): Promise<StartPoint> {
  const index = opened.findIndex(({ id }) => id === file);
  const found = opened[index];
  if (found === undefined) return fromStart;
  await closeFirst(opened, index);
  // A log of one file that was emptied meanwhile starts again.
  return { offset: found.compressed || offset <= found.sizeBytes ? offset : 0, skipLines: 0 };
}

async function skipToTail(opened: OpenLog[], tail: number): Promise<StartPoint> {
  let missing = tail;
  for (let index = opened.length - 1; index >= 0; index--) {
    const found = await findTail(opened[index] as OpenLog, missing);
    if (found.lines < missing && index > 0) {
      missing -= found.lines;
      continue;
    }
    await closeFirst(opened, index);
    return found.start;
  }
  return fromStart;
}

async function closeFirst(opened: OpenLog[], count: number): Promise<void> {
  for (const file of opened.splice(0, Math.max(0, count))) await file.close();
}
