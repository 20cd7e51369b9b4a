/**
 * The files of one container's log, and who of this process is using them.
 *
 *   LOG.a7-INODE-BIRTH.gz ──▶ LOG.a8-INODE-BIRTH.gz ──▶ LOG.2 ──▶ LOG.1 ──▶ LOG        oldest to newest
 *   └──── archives: compressed by the daemon ─────┘    └─ rotated by the monitor, by rename ─┘
 *
 * The monitor rotates whenever it wants and knows nothing of archives, so nothing here may depend on a name staying what it is: a file is known by inode and
 * birth time, an archive carries those of the file it was made from, and what was archived is emptied (by descriptor), never renamed or unlinked: an empty
 * file is shifted along by the monitor like any other. Within this process, opening files and emptying them exclude each other.
 *
 * What stands in place of a log file (a FIFO, a symlink, a device) is refused, never waited for.
 */
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EngineError, hasErrnoCode } from '../base/errors.ts';

export interface LogFiles {
  readonly path: string;
  readonly maxFiles: number;
  readonly users: LogUsers;
}

/** `INODE-BIRTH`, the latter in nanoseconds: an inode number alone is given out again. */
export type LogFileId = string;

export interface Archive {
  readonly sequence: number;
  readonly id: LogFileId;
  readonly name: string;
}

export interface OpenLog {
  readonly handle: FileHandle;
  readonly id: LogFileId;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Its own number, or, of a plain file, that of the newest archive when it was opened: what comes after it has a larger one. */
  readonly sequence: number;
  readonly compressed: boolean;
  close(): Promise<void>;
}

/** Who reads which file, so that nobody empties it. One for each container. */
export class LogUsers {
  readonly #held = new Map<LogFileId, number>();
  #turn: Promise<unknown> = Promise.resolve();
  /** Told when a file is no longer held by anybody. */
  onFreed: () => void = () => {};

  /** One at a time, in the order of the calls. */
  exclusive<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run, run);
    this.#turn = result.catch(() => {});
    return result;
  }

  isHeld(id: LogFileId): boolean {
    return this.#held.has(id);
  }

  hold(id: LogFileId): () => void {
    this.#held.set(id, (this.#held.get(id) ?? 0) + 1);
    return () => {
      const left = (this.#held.get(id) ?? 1) - 1;
      if (left > 0) return void this.#held.set(id, left);
      this.#held.delete(id);
      this.onFreed();
    };
  }
}

/** All files, oldest first, as they were at one moment: when the newest name changed hands meanwhile, once more. */
export function openChain(files: LogFiles): Promise<OpenLog[]> {
  return files.users.exclusive(async () => {
    for (;;) {
      // None for a moment within each rotation, or for good when somebody deleted it.
      const newest = await idOf(files.path);
      const archives = await listArchives(files);
      const plain = await openPlain(files, archives.at(-1)?.sequence ?? 0);
      if ((await idOf(files.path)) === newest) return [...(await openArchives(files, archives, plain)), ...plain];
      for (const file of plain) await file.close();
    }
  });
}

/** The file that was written after this one; null when this is the newest. */
export async function openNext(files: LogFiles, file: OpenLog): Promise<OpenLog | null> {
  if (file.compressed) return await openAfter(files, file);
  for (;;) {
    const index = await indexOf(files, file.id);
    if (index === 0) return null;
    // Rotated out of reach while a slow reader held it: on with the oldest of what came after it.
    if (index === null) return await openAfter(files, file);
    const { next, at } = await openBelow(files, index, file.sequence);
    // Renamed between the look-up and the open: what was opened may be a later file.
    const stayed = (await indexOf(files, file.id)) === index && !(await isAnyBetween(files, at, index));
    if (stayed) return next;
    await next?.close();
  }
}

/** The first file there is to the right of a name. Within a rotation one may be missing, and somebody may have deleted others. */
async function openBelow(
  files: LogFiles,
  index: number,
  sequence: number,
): Promise<{ readonly next: OpenLog | null; readonly at: number }> {
  for (let at = index - 1; at >= 0; at--) {
    const next = await openFile(files, fileName(files, at), sequence);
    if (next !== null) return { next, at };
  }
  return { next: null, at: -1 };
}

async function isAnyBetween(files: LogFiles, from: number, to: number): Promise<boolean> {
  for (let index = from + 1; index < to; index++) if ((await idOf(fileName(files, index))) !== null) return true;
  return false;
}

function openAfter(files: LogFiles, { id, sequence }: OpenLog): Promise<OpenLog | null> {
  return files.users.exclusive(async () => {
    const archives = (await listArchives(files)).filter((archive) => archive.sequence > sequence);
    const plain = await openPlain(files, archives.at(-1)?.sequence ?? sequence);
    const opened = [...(await openArchives(files, archives, plain)), ...plain];
    // What was archived is still there under its old name, empty.
    const next = opened.find((file) => file.id !== id) ?? null;
    for (const other of opened) if (other !== next) await other.close();
    return next;
  });
}

/** Whose file is there in plain as well was not emptied yet (a crash, or somebody reads it): it would be there twice. */
async function openArchives(files: LogFiles, archives: readonly Archive[], plain: readonly OpenLog[]): Promise<OpenLog[]> {
  const still = new Set(plain.filter(({ sizeBytes }) => sizeBytes > 0).map(({ id }) => id));
  const opened: OpenLog[] = [];
  for (const { name, sequence, id } of archives) {
    if (still.has(id)) continue;
    const file = await openFile(files, join(dirname(files.path), name), sequence, id);
    if (file !== null) opened.push(file);
  }
  return opened;
}

async function openPlain(files: LogFiles, sequence: number): Promise<OpenLog[]> {
  const opened: OpenLog[] = [];
  for (let index = 0; index < Math.max(1, files.maxFiles); index++) {
    const file = await openFile(files, fileName(files, index), sequence);
    if (file === null) continue;
    // A rename between two opens shows the same file under two names.
    if (opened.some(({ id }) => id === file.id)) await file.close();
    else opened.unshift(file);
  }
  return opened;
}

async function openFile(files: LogFiles, path: string, sequence: number, archivedId?: LogFileId): Promise<OpenLog | null> {
  const handle = await openRegular(path, constants.O_RDONLY);
  if (handle === null) return null;
  const found = await handle.stat({ bigint: true });
  const id = archivedId ?? logFileId(found);
  const release = files.users.hold(id);
  return {
    handle,
    id,
    sizeBytes: Number(found.size),
    modifiedMs: Number(found.mtimeMs),
    sequence,
    compressed: archivedId !== undefined,
    async close() {
      release();
      await handle.close();
    },
  };
}

/** Null: there is none. */
export async function openRegular(path: string, flags: number): Promise<FileHandle | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return null;
    if (hasErrnoCode(error, 'ELOOP') || hasErrnoCode(error, 'ENXIO')) throw notRegular(path, error);
    throw error;
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw notRegular(path, null);
}

/** The same without opening it. */
export async function statRegular(path: string): Promise<BigIntStats | null> {
  try {
    const found = await lstat(path, { bigint: true });
    if (!found.isFile()) throw notRegular(path, null);
    return found;
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return null;
    throw error;
  }
}

function notRegular(path: string, cause: unknown): EngineError {
  return new EngineError('system', `cannot read the log ${path}: somebody put something else than a file in its place; remove it`, {
    cause,
  });
}

export function fileName(files: Pick<LogFiles, 'path'>, index: number): string {
  return index === 0 ? files.path : `${files.path}.${index}`;
}

/** In the order of their numbers. */
export async function listArchives(files: Pick<LogFiles, 'path'>): Promise<Archive[]> {
  const prefix = `${basename(files.path)}.a`;
  const names = await readdir(dirname(files.path)).catch((error) => {
    if (hasErrnoCode(error, 'ENOENT')) return [];
    throw error;
  });
  const archives = names.flatMap((name): Archive[] => {
    const match = name.startsWith(prefix) ? /^(\d+)-(\d+-\d+)\.gz$/.exec(name.slice(prefix.length)) : null;
    return match === null ? [] : [{ sequence: Number(match[1]), id: match[2] ?? '', name }];
  });
  return archives.sort((a, b) => a.sequence - b.sequence);
}

export function archiveName(files: Pick<LogFiles, 'path'>, sequence: number, id: LogFileId): string {
  return `${files.path}.a${sequence}-${id}.gz`;
}

export function logFileId({ ino, birthtimeNs }: { readonly ino: bigint; readonly birthtimeNs: bigint }): LogFileId {
  return `${ino}-${birthtimeNs}`;
}

export async function idOf(path: string): Promise<LogFileId | null> {
  try {
    return logFileId(await stat(path, { bigint: true }));
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return null;
    throw error;
  }
}

async function indexOf(files: LogFiles, id: LogFileId): Promise<number | null> {
  for (let index = 0; index < Math.max(1, files.maxFiles); index++) {
    if ((await idOf(fileName(files, index))) === id) return index;
  }
  return null;
}
