/** The end of a process together with the one that started it, however that one ends. */
import { bind } from './ffi.ts';

const prctl = bind('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']);
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/** From now on the kernel kills this process when its parent is gone, even in the middle of a call that does not return. `parent` has started it: is it gone already? */
export function dieWithParent(parent: number): void {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (process.ppid !== parent) process.exit(0);
}
