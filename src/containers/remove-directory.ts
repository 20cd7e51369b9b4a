/**
 * Removes a directory that a container wrote: any bytes as names, any depth (its paths may be longer than the kernel takes), never through a symbolic link.
 * Off the event loop (linux/remove-tree.ts is for worker threads). Each directory is held open and reached as /proc/self/fd/N; what lies too deep for that is moved up and removed from there.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';

/** One open descriptor per level. */
const maxDepth = 64;

export async function removeDirectory(path: string): Promise<void> {
  const top = await openDirectory(Buffer.from(path));
  if (top === null) return;
  try {
    const removal: Removal = { top: descriptorPath(top), moved: 0 };
    // Each pass may move deep directories up to the top, for the next one.
    for (let before = -1; removal.moved !== before; ) {
      before = removal.moved;
      await removeChildren(removal, removal.top, 1);
    }
  } finally {
    await top.close();
  }
  await rmdir(path);
}

interface Removal {
  readonly top: Buffer;
  moved: number;
}

async function removeChildren(removal: Removal, directory: Buffer, depth: number): Promise<void> {
  for (const entry of await readdir(directory, { encoding: 'buffer', withFileTypes: true })) {
    const path = Buffer.concat([directory, Buffer.from('/'), entry.name]);
    if (!entry.isDirectory()) await ignoringAbsence(unlink(path));
    else if (depth < maxDepth) await removeNested(removal, path, depth);
    else await moveUp(removal, path);
  }
}

async function removeNested(removal: Removal, path: Buffer, depth: number): Promise<void> {
  const handle = await openDirectory(path);
  if (handle === null) return;
  try {
    await removeChildren(removal, descriptorPath(handle), depth + 1);
  } finally {
    await handle.close();
  }
  await ignoringAbsence(rmdir(path));
}

async function moveUp(removal: Removal, path: Buffer): Promise<void> {
  for (;;) {
    const name = Buffer.from(`/removed-${removal.moved++}`);
    try {
      await rename(path, Buffer.concat([removal.top, name]));
      return;
    } catch (error) {
      if (!hasErrnoCode(error, 'EEXIST', 'ENOTEMPTY', 'ENOTDIR')) throw error;
    }
  }
}

async function openDirectory(path: Buffer): Promise<FileHandle | null> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return null;
    throw error;
  }
}

function descriptorPath(handle: FileHandle): Buffer {
  return Buffer.from(`/proc/self/fd/${handle.fd}`);
}

async function ignoringAbsence(removal: Promise<void>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (!hasErrnoCode(error, 'ENOENT')) throw error;
  }
}
