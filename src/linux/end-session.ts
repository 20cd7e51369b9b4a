/**
 * Ends a process, with a session also what it left in its process group, but never another process that got its number meanwhile: the process is held by a
 * descriptor while it is looked at, and it must be in the cgroup, have the name, or have begun when it is expected to have.
 */
import { readFileSync } from 'node:fs';
import { SystemCallError } from '../base/errors.ts';
import { bind, checked } from './ffi.ts';
import { closeDescriptor } from './file-calls.ts';
import { openProcess } from './pidfd.ts';
import { readProcessFacts } from './process-facts.ts';

/** The same number on every architecture. */
const SYS_PIDFD_SEND_SIGNAL = 424;
const SIGKILL = 9;

const sendSignalCall = bind('syscall', 'long', ['long', 'int', 'int', 'void *', 'uint']);

/** `cgroup`: the last part of the path of its cgroup. False: it is gone. */
export function endSession(pid: number, cgroup: string): boolean {
  return endHeld(pid, () => {
    if (!isIn(pid, cgroup)) return false;
    killGroup(pid);
    return true;
  });
}

/** As `endSession`, for the process that has begun so many ticks after the machine (`startTicks`). */
export function endStarted(pid: number, ticks: number): boolean {
  return endHeld(pid, () => {
    if (startTicks(pid) !== ticks) return false;
    killGroup(pid);
    return true;
  });
}

/** Null: it is gone. */
export function startTicks(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Counted from the name, which may hold anything: the 22nd field.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  } catch {
    return null;
  }
}

/** Ends a process that still has that name. False: it is gone. */
export function endNamed(pid: number, name: string): boolean {
  return endHeld(pid, () => readProcessFacts(pid)?.name === name);
}

/** `isMeant` is asked while nobody else can get its number. */
function endHeld(pid: number, isMeant: () => boolean): boolean {
  let descriptor: number;
  try {
    descriptor = openProcess(pid);
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
  try {
    if (!isMeant()) return false;
    checked(sendSignalCall(SYS_PIDFD_SEND_SIGNAL, descriptor, SIGKILL, null, 0), 'pidfd_send_signal', `process ${pid}`);
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  } finally {
    closeDescriptor(descriptor);
  }
}

function isIn(pid: number, cgroup: string): boolean {
  try {
    const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
    return lines.some((line) => line.endsWith(cgroup));
  } catch {
    return false;
  }
}

/** Its own session makes it the leader of its group, too. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has left its group, or nobody is in it any more: the process itself is ended next.
  }
}

function isGone(error: unknown): boolean {
  return error instanceof SystemCallError && error.errnoName === 'ESRCH';
}
