/**
 * Removes a directory tree of any depth and any names with two descriptors: a directory in the way is moved to the trash directory and emptied there later.
 * (Recursion by path fails beyond 4,096 bytes, recursion by descriptor beyond their limit, and Node's `fs.rm` on names that are not UTF-8.)
 * Nobody else may be writing to the tree; symbolic links are removed, never followed.
 */
import { opendirSync } from 'node:fs';
import { decodeName } from '../base/byte-name.ts';
import { isErrno } from './ffi.ts';
import { closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt, RENAME_NOREPLACE, removeDirectoryAt, renameAt } from './file-calls.ts';
import { removeOne } from './remove-one.ts';

const NAMES_AT_ONCE = 4096;

/** Removes `name` in `parent`; it need not exist. `trash` is a directory on the same file system that holds nothing that matters. */
export function removeTree(parent: number, name: string, trash: number): void {
  if (removeOne(parent, name)) return;
  const queue = [moveToTrash(parent, name, trash)];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const directory = openAt(trash, next, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      for (let names = readNames(directory); names.length > 0; names = readNames(directory)) {
        for (const child of names) if (!removeOne(directory, child)) queue.push(moveToTrash(directory, child, trash));
      }
    } finally {
      closeDescriptor(directory);
    }
    removeDirectoryAt(trash, next);
  }
}

let counter = 0;

function moveToTrash(parent: number, name: string, trash: number): string {
  for (;;) {
    const trashName = `t${counter++}`;
    try {
      renameAt(parent, name, trash, trashName, RENAME_NOREPLACE);
      return trashName;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
  }
}

/** The first names only: a directory may hold a million, and what was read is gone before the next look. */
function readNames(directory: number): readonly string[] {
  const stream = opendirSync(`/proc/self/fd/${directory}`, { encoding: 'buffer' as BufferEncoding, bufferSize: 256 });
  try {
    const names: string[] = [];
    for (let entry = stream.readSync(); entry !== null && names.length < NAMES_AT_ONCE; entry = stream.readSync()) {
      names.push(decodeName(entry.name as unknown as Buffer));
    }
    return names;
  } finally {
    stream.closeSync();
  }
}
