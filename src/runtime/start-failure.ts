/** START_FAILED as the `StartError` a person reads, with the texts that Docker's clients look for ("executable file not found", "permission denied", ...). */
import { constants } from 'node:os';
import { mountOfPath } from '../linux/mount-of-path.ts';
import { hookEndText } from './hooks.ts';
import type { Plan, PlannedStep, Step } from './plan.ts';
import { detail, type PayloadReader, phase, setup } from './protocol.ts';
import { StartError } from './runtime.ts';

export interface StartFailure {
  readonly phase: number;
  readonly index: number;
  readonly errno: number;
  readonly detail: number;
  /** The last words of a hook that failed. */
  readonly said?: string;
}

type HookStep = Extract<Step, { op: 'hook' }>;

/** Where an exec or start comes to people: Docker's prefix, which some clients cut off at known places. */
export type StartKind = 'container' | 'exec';

const prefixes: Readonly<Record<StartKind, string>> = {
  container:
    'failed to create task for container: failed to create shim task: OCI runtime create failed: unable to start container process: ',
  exec: 'OCI runtime exec failed: exec failed: unable to start container process: ',
};

const texts: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EISDIR: 'is a directory',
  ENOEXEC: 'exec format error',
  ENOTDIR: 'not a directory',
  E2BIG: 'argument list too long',
  ELOOP: 'too many levels of symbolic links',
  ETXTBSY: 'text file busy',
};

export function readStartFailure(payload: PayloadReader): StartFailure {
  const [failedPhase, index, errno, failedDetail] = [payload.u32(), payload.u32(), payload.u32(), payload.u32()];
  return { phase: failedPhase, index, errno, detail: failedDetail, said: payload.isAtEnd ? '' : payload.text() };
}

export function startError(failure: StartFailure, plan: Plan, kind: StartKind): StartError {
  const step = failingStep(failure, plan);
  const { said: _said, ...numbers } = failure;
  const details = { ...numbers, ...(step === null ? {} : { step: step.step.op }) };
  if (step?.step.op === 'exec') {
    const { text, exitCode } = execFailure(failure, step.step.argv[0] ?? '');
    return new StartError(`${prefixes[kind]}${text}: unknown`, exitCode, { details });
  }
  return new StartError(`${prefixes[kind]}${describe(failure, plan, step)}: unknown`, 128, { details });
}

/** A start that failed by no step of the plan. */
export function startProblem(text: string, kind: StartKind, cause: unknown): StartError {
  return new StartError(`${prefixes[kind]}${text}: unknown`, 128, { cause });
}

function failingStep(failure: StartFailure, plan: Plan): PlannedStep | null {
  if (failure.phase === phase.before) return plan.before[failure.index] ?? null;
  if (failure.phase === phase.step) return plan.steps[failure.index] ?? null;
  return null;
}

function execFailure(failure: StartFailure, name: string): { text: string; exitCode: 126 | 127 | 128 } {
  const errno = errnoName(failure.errno);
  const text = texts[errno] ?? errno;
  const exitCode =
    errno === 'ENOENT' || errno === 'ENOTDIR' ? 127 : errno === 'EACCES' || errno === 'EISDIR' || errno === 'EPERM' ? 126 : 128;
  if (failure.detail === detail.notInPath) return { text: `exec: "${name}": executable file not found in $PATH`, exitCode: 127 };
  if (failure.detail === detail.execve) return { text: `exec ${name}: ${text}`, exitCode };
  return { text: `exec: "${name}": ${errno === 'ENOENT' ? `stat ${name}: ` : ''}${text}`, exitCode };
}

function describe(failure: StartFailure, plan: Plan, step: PlannedStep | null): string {
  const errno = errnoName(failure.errno);
  if (step !== null) return describeStep(failure, step, errno);
  switch (failure.phase) {
    case phase.join: {
      const join = plan.joins[failure.index];
      const what = join?.kind === 'path' ? `the namespace ${join.path}` : "the container's namespaces";
      return `cannot enter ${what}: ${errno}`;
    }
    case phase.clone:
      return `cannot clone the process into its namespaces: ${errno}`;
    case phase.died:
      return `the process was killed while it was set up (wait status 0x${failure.errno.toString(16)})`;
    default:
      return `cannot ${setupTexts[failure.index] ?? 'set the monitor up'}: ${errno}`;
  }
}

function describeStep(failure: StartFailure, { step, failure: text }: PlannedStep, errno: string): string {
  if (failure.detail === detail.subpath && 'subpath' in step) {
    const where = step.op === 'mount-layers' ? 'the image' : step.source;
    return `cannot find the subpath "${step.subpath}" in ${where}: ${texts[errno] ?? errno}`;
  }
  if (failure.detail === detail.idmap && step.op === 'bind')
    return `cannot map the owners of ${step.source}: ${whyNoIdmap(step.source, errno)}`;
  if (step.op === 'hook') return `cannot ${text}: ${hookFailureText(failure, step, errno)}`;
  return `cannot ${text}: ${errno}`;
}

function hookFailureText({ detail: which, errno: status, said = '' }: StartFailure, { timeoutMs }: HookStep, errno: string): string {
  if (which !== detail.hook) return errno === 'ETIMEDOUT' ? hookEndText('timeout', timeoutMs, said) : errno;
  const signal = status & 0x7f;
  return hookEndText(
    signal === 0 ? { code: (status >> 8) & 0xff, signal: null } : { code: null, signal: `signal ${signal}` },
    timeoutMs,
    said,
  );
}

/** The kernel says EINVAL for a file system that cannot, and for a mapping with overlaps. */
function whyNoIdmap(source: string, errno: string): string {
  if (errno === 'ENOSYS') return 'this kernel (before 5.12) has no idmapped mounts';
  if (errno === 'ENOSPC') return 'no user namespace can be made (user.max_user_namespaces)';
  if (errno !== 'EINVAL') return errno;
  return `its file system (${fileSystemOf(source)}) has no idmapped mounts on this kernel, or the mapping names an id twice`;
}

function fileSystemOf(path: string): string {
  try {
    return mountOfPath(path).fileSystem;
  } catch {
    return 'unknown';
  }
}

const setupTexts: Readonly<Record<number, string>> = {
  [setup.fork]: 'fork a monitor for the container',
  [setup.plan]: 'read the plan in the monitor',
  [setup.socket]: "listen on the monitor's socket",
  [setup.log]: "open the container's log file",
  [setup.pipes]: 'make the pipes of the process',
  [setup.cgroup]: "open the container's cgroup2 directory",
  [setup.keep]: "take over the container's network and port descriptors from the daemon",
};

/** Node's own table of names lacks some. */
const errnoNames: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno)
    .toReversed()
    .map(([name, value]) => [value, name]),
);

export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

/** For people: as the C library says it, where clients look for that. */
export function errnoText(errno: number): string {
  return texts[errnoName(errno)] ?? errnoName(errno);
}
