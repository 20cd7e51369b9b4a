/** Descriptors of processes, and descriptors taken out of them: how a new daemon gets back what a monitor kept. The kernel asks for ptrace rights. */
import { bind, checked } from './ffi.ts';

/** The same numbers on every architecture. */
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

const pidfdOpenCall = bind('syscall', 'long', ['long', 'int', 'uint']);
const pidfdGetfdCall = bind('syscall', 'long', ['long', 'int', 'int', 'uint']);

/** Close-on-exec; the caller's to close. */
export function openProcess(pid: number): number {
  return checked(pidfdOpenCall(SYS_PIDFD_OPEN, pid, 0), 'pidfd_open', `process ${pid}`);
}

/** A duplicate of a descriptor of that process, close-on-exec; the caller's to close. */
export function takeDescriptor(process: number, fd: number): number {
  return checked(pidfdGetfdCall(SYS_PIDFD_GETFD, process, fd, 0), 'pidfd_getfd', `fd ${fd}`);
}
