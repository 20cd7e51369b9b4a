/** Directories of a container that a hook puts something into: found or made below the root, whatever links the image has there. */
import { posix } from 'node:path';
import { isErrno } from '../../../linux/ffi.ts';
import { closeDescriptor, makeDirectoryAt, O_DIRECTORY, O_PATH } from '../../../linux/file-calls.ts';
import { openInRoot } from '../../../linux/path-in-root.ts';

/** Calls `work` with an O_PATH descriptor of the directory that `path` is in, and the last part of its name. */
export function inParent<T>(root: number, path: string, work: (parent: number, name: string) => T): T {
  const place = posix.resolve('/', path);
  const parent = openDirectory(root, posix.dirname(place));
  try {
    return work(parent, posix.basename(place));
  } finally {
    closeDescriptor(parent);
  }
}

function openDirectory(root: number, path: string): number {
  try {
    return openInRoot(root, path, O_PATH | O_DIRECTORY);
  } catch (error) {
    if (!isErrno(error, 'ENOENT') || path === '/') throw error;
  }
  makeDirectory(root, path);
  return openInRoot(root, path, O_PATH | O_DIRECTORY);
}

function makeDirectory(root: number, path: string): void {
  inParent(root, path, (parent, name) => {
    try {
      makeDirectoryAt(parent, name, 0o755);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
  });
}
