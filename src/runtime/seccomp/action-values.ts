/** Seccomp actions as the 32-bit value a filter returns (linux/seccomp.h): the action in the high half, its data in the low half. */
import { invalid } from '../../base/errors.ts';
import type { SeccompAction } from '../../oci/runtime-spec.ts';

const bases: Readonly<Record<SeccompAction, number>> = {
  SCMP_ACT_KILL: 0x00000000,
  SCMP_ACT_KILL_THREAD: 0x00000000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};

const EPERM = 1;
const ENOSYS = 38;

export const enosysValue = bases.SCMP_ACT_ERRNO | ENOSYS;
export const killProcessValue = bases.SCMP_ACT_KILL_PROCESS;

export function isSeccompAction(name: unknown): name is SeccompAction {
  return typeof name === 'string' && Object.hasOwn(bases, name);
}

export const seccompActions: readonly string[] = Object.keys(bases);

/** Whether the action has data: an errno, or the message for a tracer. */
export function takesErrno(action: SeccompAction): boolean {
  return action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE';
}

/** Actions that let a call through, perhaps with a note to somebody: an unknown call must reach the kernel (or the tracer) then. */
export function isPermissive(action: SeccompAction): boolean {
  return action === 'SCMP_ACT_ALLOW' || action === 'SCMP_ACT_LOG' || action === 'SCMP_ACT_TRACE';
}

export function actionValue(action: SeccompAction, errnoRet: number | undefined): number {
  if (!isSeccompAction(action)) throw invalid(`Cannot compile the seccomp filter: action ${JSON.stringify(action)} is unknown.`);
  if (!takesErrno(action)) return bases[action];
  const errno = errnoRet ?? EPERM;
  if (!Number.isInteger(errno) || errno < 0 || errno > 0xffff) {
    throw invalid(`Cannot compile the seccomp filter: errnoRet ${errno} of ${action} is not between 0 and 65535.`);
  }
  return bases[action] + errno;
}
