/**
 * Content on its way into a volume, in worker threads. It is complete before it shows: what ends in the middle leaves the volume as it was.
 *
 *     <staging>/data     the content; has the attributes of the volume's root from the start
 *     <staging>/links    for the copier
 *     <staging>/trash    for the removal of what an archive replaces
 */
import { fchmodSync, fchownSync, fstatSync, mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { conflict } from '../base/errors.ts';
import { readAttributes, setAttribute } from '../linux/extended-attributes.ts';
import { isErrno } from '../linux/ffi.ts';
import {
  AT_FDCWD,
  closeDescriptor,
  fileTimeOf,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  renameAt,
  setTimes,
} from '../linux/file-calls.ts';
import { openRoot } from '../linux/path-in-root.ts';
import { readNames } from '../linux/read-names.ts';
import { removeTree } from '../linux/remove-tree.ts';
import { STAGED_INSIDE } from './local-paths.ts';

export function openDirectory(path: string): number {
  return openAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

export function using<T>(descriptor: number, use: (descriptor: number) => T): T {
  try {
    return use(descriptor);
  } finally {
    closeDescriptor(descriptor);
  }
}

export function makeStaging(staging: string): void {
  mkdirSync(staging, { recursive: true, mode: 0o700 });
  for (const name of ['data', 'links', 'trash']) mkdirSync(join(staging, name), { mode: 0o700 });
}

/** What is there but the staging directories of others. */
export function contentOf(root: number): readonly string[] {
  return readNames(root).filter((name) => !name.startsWith(STAGED_INSIDE));
}

export function copyRootAttributes(from: number, to: number): void {
  const { uid, gid, mode, mtimeNs } = fstatSync(from, { bigint: true });
  fchownSync(to, Number(uid), Number(gid));
  fchmodSync(to, Number(mode) & 0o7777);
  for (const [name, value] of readAttributes(from, () => true)) {
    try {
      setAttribute(to, name, value);
    } catch (error) {
      if (!isErrno(error, 'EOPNOTSUPP')) throw error;
    }
  }
  setTimes(to, fileTimeOf(mtimeNs));
}

/** False: the volume is not empty any more. */
export function settle(staging: string, target: string, exchange: boolean): boolean {
  return using(openDirectory(target), (root) => {
    if (contentOf(root).length > 0) return false;
    if (exchange) exchangeWhole(staging, target);
    else using(openDirectory(join(staging, 'data')), (data) => moveChildren(data, root));
    return true;
  });
}

function exchangeWhole(staging: string, target: string): void {
  using(openRoot(staging), (from) => {
    using(openRoot(dirname(target)), (to) => renameAt(from, 'data', to, basename(target), RENAME_EXCHANGE));
  });
}

/** For a volume that containers see already: its root stays the same directory. */
function moveChildren(data: number, root: number): void {
  for (const name of readNames(data)) {
    try {
      renameAt(data, name, root, name, RENAME_NOREPLACE);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      throw conflict(`somebody else made ${name} in the volume meanwhile: it holds a part of the new content now`);
    }
  }
  copyRootAttributes(data, root);
}

/** A directory with everything in it; `parent` is on the same file system. */
export function removeDirectory(parent: string, name: string, trashPath: string): void {
  using(openRoot(parent), (directory) => {
    using(openRoot(trashPath), (trash) => removeTree(directory, name, trash));
  });
}
