/**
 * Paths that a container or an image controls, resolved below a root by the kernel (openat2 with RESOLVE_IN_ROOT): symbolic links and `..` can't lead out,
 * whoever swaps what meanwhile. The root is a descriptor (O_PATH is enough) or a host path that nobody but us controls.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { printableName } from '../base/byte-name.ts';
import { invalid } from '../base/errors.ts';
import { isErrno } from './ffi.ts';
import {
  AT_FDCWD,
  closeDescriptor,
  O_DIRECTORY,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  openAt,
  openAt2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
} from './file-calls.ts';

/** A descriptor that pins a directory without opening it for reading; the caller closes it. */
export function openRoot(path: string): number {
  return openAt(AT_FDCWD, path, O_PATH | O_DIRECTORY);
}

export function openInRoot(root: number | string, path: string, flags: number, mode = 0): number {
  if (path.includes('\0')) throw invalid(`the path ${printableName(path)} holds a NUL byte`);
  if (typeof root === 'number') return openAt2(root, path === '' ? '/' : path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, mode);
  const descriptor = openRoot(root);
  try {
    return openInRoot(descriptor, path, flags, mode);
  } finally {
    closeDescriptor(descriptor);
  }
}

/**
 * The bytes of a regular file, following symbolic links inside the root; null when nothing is there. Anything else (a FIFO, a device: opening one can block
 * or have effects) and more than `maximumBytes` are `invalid`.
 */
export function readFileInRoot(root: number | string, path: string, maximumBytes: number): Buffer | null {
  let pinned: number;
  try {
    pinned = openInRoot(root, path, O_PATH);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
  try {
    return readPinned(pinned, path, maximumBytes);
  } finally {
    closeDescriptor(pinned);
  }
}

/** Opens what an O_PATH descriptor pins, after a look at what it is. */
export function readPinned(pinned: number, path: string, maximumBytes: number): Buffer {
  if (!fstatSync(pinned).isFile()) throw invalid(`${printableName(path)} is not a regular file`);
  const file = openSync(`/proc/self/fd/${pinned}`, O_RDONLY | O_NONBLOCK);
  try {
    return readBounded(file, path, maximumBytes);
  } finally {
    closeSync(file);
  }
}

/** Reads to the end instead of trusting the size: files of /proc say 0, others grow. */
function readBounded(file: number, path: string, maximumBytes: number): Buffer {
  const size = fstatSync(file).size;
  if (size > maximumBytes) throw tooLarge(path, maximumBytes);
  let buffer = Buffer.alloc(Math.min(Math.max(size, 4096), maximumBytes) + 1);
  for (let length = 0; ; ) {
    const count = readSync(file, buffer, length, buffer.length - length, null);
    length += count;
    if (length > maximumBytes) throw tooLarge(path, maximumBytes);
    if (count === 0) return buffer.subarray(0, length);
    if (length === buffer.length) buffer = Buffer.concat([buffer, Buffer.alloc(Math.min(buffer.length, maximumBytes + 1 - length))]);
  }
}

function tooLarge(path: string, maximumBytes: number): Error {
  return invalid(`${printableName(path)} is larger than ${maximumBytes} bytes, the limit`);
}
