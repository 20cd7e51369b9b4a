/** How much a container wrote: the sizes of what lies in a directory, each file once however many names it has. Off the event loop; any bytes as names. */
import { lstat, readdir } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';

const separator = Buffer.from('/');

export async function directorySize(path: string): Promise<number> {
  const seen = new Set<number>();
  const pending = [Buffer.from(path)];
  let sizeBytes = 0;
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of await childrenOf(directory)) {
      const child = Buffer.concat([directory, separator, entry.name]);
      if (entry.isDirectory()) pending.push(child);
      else sizeBytes += await fileSize(child, seen);
    }
  }
  return sizeBytes;
}

async function fileSize(path: Buffer, seen: Set<number>): Promise<number> {
  try {
    const { ino, nlink, size } = await lstat(path);
    if (nlink > 1 && seen.has(ino)) return 0;
    if (nlink > 1) seen.add(ino);
    return size;
  } catch (error) {
    return zeroIfGone(error);
  }
}

async function childrenOf(directory: Buffer) {
  try {
    return await readdir(directory, { encoding: 'buffer', withFileTypes: true });
  } catch (error) {
    zeroIfGone(error);
    return [];
  }
}

/** A running container deletes while we look, and paths longer than the kernel takes are left out. */
function zeroIfGone(error: unknown): 0 {
  if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return 0;
  throw error;
}
