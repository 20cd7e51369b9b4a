/** flock(2): a lock of the open file description, given back by the kernel when the last descriptor of it is closed, however the process ends. */
import { bind, checked, isErrno } from './ffi.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

const flock = bind('flock', 'int', ['int', 'int']);

/** False: somebody else has it. */
export function tryLockFile(descriptor: number, path: string): boolean {
  try {
    checked(flock(descriptor, LOCK_EX | LOCK_NB), 'flock', path);
    return true;
  } catch (error) {
    if (isErrno(error, 'EAGAIN', 'EWOULDBLOCK')) return false;
    throw error;
  }
}
