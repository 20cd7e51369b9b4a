/** Removes one name of an open directory, whatever it is. A symbolic link is removed, never followed. */
import { isErrno } from './ffi.ts';
import { removeDirectoryAt, unlinkAt } from './file-calls.ts';

/** False: a directory that holds something. What is not there is removed. */
export function removeOne(parent: number, name: string): boolean {
  try {
    unlinkAt(parent, name);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    if (!isErrno(error, 'EISDIR', 'EPERM')) throw error;
  }
  try {
    removeDirectoryAt(parent, name);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return false;
    throw error;
  }
}
