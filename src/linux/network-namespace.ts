/**
 * Network namespaces of the calling thread. Only the net worker uses this: setns and unshare change one thread, and every thread that is born
 * while it is away would start in the foreign namespace; hence no `await` in a window, and the way back is guaranteed or the process ends.
 *
 * A descriptor alone keeps a namespace alive. The kernel destroys what is in it some time after the last one is closed.
 */
import { fstatSync, writeSync } from 'node:fs';
import { CLONE_NEWNET } from './constants.ts';
import { exitNow } from './exit-now.ts';
import { bind, checked } from './ffi.ts';
import { AT_FDCWD, closeDescriptor, O_RDONLY, openAt } from './file-calls.ts';

const native = {
  unshare: bind('unshare', 'int', ['int']),
  setns: bind('setns', 'int', ['int', 'int']),
};

/** As of abort(3). */
const abortedExitCode = 134;

/** Of this thread, opened at its first window. */
let home: number | null = null;

/** The descriptor is the caller's to close. */
export function createNetworkNamespace(): number {
  return away(() => checked(native.unshare(CLONE_NEWNET), 'unshare', 'a network namespace'), currentNetworkNamespace);
}

/** `work` must be synchronous. Sockets and netlink sockets that it opens, and /proc/sys/net that it reads and writes, are those of the namespace. */
export function inNetworkNamespace<T>(namespace: number, work: () => T): T {
  return away(() => checked(native.setns(namespace, CLONE_NEWNET), 'setns', `network namespace of fd ${namespace}`), work);
}

/** Of a process; the caller's to close. */
export function openNetworkNamespace(pid: number): number {
  return openAt(AT_FDCWD, `/proc/${pid}/ns/net`, O_RDONLY);
}

/** Of this thread; not the caller's to close. */
export function homeNamespace(): number {
  home ??= currentNetworkNamespace();
  return home;
}

/** Whether it is the namespace of this thread. */
export function isHomeNamespace(namespace: number): boolean {
  return fstatSync(namespace).ino === fstatSync(homeNamespace()).ino;
}

function currentNetworkNamespace(): number {
  return openAt(AT_FDCWD, '/proc/thread-self/ns/net', O_RDONLY);
}

/** When `leave` throws, this thread is still at home. */
function away<T>(leave: () => unknown, work: () => T): T {
  home ??= currentNetworkNamespace();
  leave();
  try {
    return work();
  } finally {
    if (native.setns(home, CLONE_NEWNET) !== 0) endLost();
  }
}

/** Lost in a foreign namespace, this thread would do its next work on somebody else's network. */
function endLost(): never {
  writeSync(2, 'gantry: a thread cannot come back to its own network namespace: the process ends\n');
  return exitNow(abortedExitCode);
}

/** For a thread that ends: its descriptor outlives it otherwise. */
export function forgetHomeNamespace(): void {
  if (home !== null) closeDescriptor(home);
  home = null;
}
