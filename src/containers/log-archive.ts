/**
 * Compresses rotated log files, one at a time, oldest first:
 *
 *   LOG.2 ──gzip──▶ LOG.a9-INODE-BIRTH.gz.tmp ──fsync, rename──▶ LOG.a9-INODE-BIRTH.gz ──▶ LOG.2 emptied (unless somebody reads it) ──▶ oldest archives removed
 *
 * A crash between the last arrows leaves the lines twice on the disk; readers know by the name (see log-chain.ts), and the next pass goes on there. Rotations
 * made while no daemon ran are found by the next one in the same way. gzip runs in Node's threads, never on the event loop.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { hasErrnoCode } from '../base/errors.ts';
import {
  type Archive,
  archiveName,
  fileName,
  type LogFileId,
  type LogFiles,
  listArchives,
  logFileId,
  openRegular,
  statRegular,
} from './log-chain.ts';
import { fileChunks } from './log-lines.ts';

/** One pass: everything that may be compressed now, is. */
export async function archiveRotated(files: LogFiles, signal: AbortSignal): Promise<void> {
  await removeUnfinished(files);
  while (!signal.aborted) {
    const rotated = await oldestRotated(files);
    if (rotated === null) break;
    try {
      if (!(await archiveFile(files, rotated, signal))) break;
    } finally {
      await rotated.handle.close();
    }
  }
  if (!signal.aborted) await removeOldest(files);
}

interface Rotated {
  readonly handle: FileHandle;
  readonly id: LogFileId;
  readonly modified: Date;
}

/** False: it has to stay as it is for now, and with it everything that came later. */
async function archiveFile(files: LogFiles, { handle, id, modified }: Rotated, signal: AbortSignal): Promise<boolean> {
  const archives = await listArchives(files);
  if (!archives.some((archive) => archive.id === id)) {
    if (files.users.isHeld(id)) return false;
    const name = archiveName(files, (archives.at(-1)?.sequence ?? 0) + 1, id);
    if (!(await compress(handle, name, modified, signal))) return false;
  }
  return await files.users.exclusive(async () => {
    if (files.users.isHeld(id)) return false;
    await handle.truncate(0);
    return true;
  });
}

async function compress(handle: FileHandle, name: string, modified: Date, signal: AbortSignal): Promise<boolean> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const temporary = await open(`${name}.tmp`, flags, 0o640);
  try {
    await pipeline(fileChunks(handle), createGzip(), (packed) => writeAll(temporary, packed), { signal });
    await temporary.utimes(modified, modified);
    await temporary.sync();
    await rename(`${name}.tmp`, name);
    return true;
  } catch (error) {
    await unlink(`${name}.tmp`).catch(() => {});
    if (signal.aborted) return false;
    throw error;
  } finally {
    await temporary.close();
  }
}

async function writeAll(file: FileHandle, chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of chunks) await file.writeFile(chunk);
}

/**
 * Not emptied yet, and not written any more. Names are looked at from the newest to the oldest, the way the monitor moves files: one that moves meanwhile is seen
 * twice, never missed, and so nothing is taken for the oldest before its time.
 */
async function oldestRotated(files: LogFiles): Promise<Rotated | null> {
  for (;;) {
    let oldest: { readonly index: number; readonly id: LogFileId } | null = null;
    for (let index = 1; index < files.maxFiles; index++) {
      const found = await statRegular(fileName(files, index));
      if (found !== null && found.size > 0n) oldest = { index, id: logFileId(found) };
    }
    if (oldest === null) return null;
    const handle = await openRegular(fileName(files, oldest.index), constants.O_RDWR);
    const found = await handle?.stat({ bigint: true });
    if (handle !== null && found !== undefined && logFileId(found) === oldest.id) return { handle, id: oldest.id, modified: found.mtime };
    // It has moved on.
    await handle?.close();
  }
}

async function removeOldest(files: LogFiles): Promise<void> {
  const archives = await listArchives(files);
  const plain = await plainCount(files, archives);
  const surplus = Math.max(0, archives.length + plain - Math.max(2, files.maxFiles));
  for (const { name } of archives.slice(0, surplus)) await removeIfThere(join(dirname(files.path), name));
}

/** Files that hold lines which no archive holds; the newest counts even when it is empty. */
async function plainCount(files: LogFiles, archives: readonly Archive[]): Promise<number> {
  let count = 1;
  for (let index = 1; index < files.maxFiles; index++) {
    const found = await statRegular(fileName(files, index));
    if (found !== null && found.size > 0n && !archives.some(({ id }) => id === logFileId(found))) count++;
  }
  return count;
}

async function removeUnfinished(files: LogFiles): Promise<void> {
  const directory = dirname(files.path);
  const prefix = `${basename(files.path)}.a`;
  for (const name of await readdir(directory))
    if (name.startsWith(prefix) && name.endsWith('.gz.tmp')) await removeIfThere(join(directory, name));
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOENT')) throw error;
  }
}
