/** Why a RUN failed, in BuildKit's words where it has some, and what to do where that is known. */
import { constants } from 'node:os';
import type { RunOperation } from '../plan/operation.ts';
import { ProcessFailure } from './run-work.ts';
import type { StepEnd, StepStartError } from './step-executor.ts';

const signalNames: ReadonlyMap<number, string> = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** Names under which a shell lies in images; a RUN in shell form starts one. */
const shells: ReadonlySet<string> = new Set([
  '/bin/sh',
  '/bin/bash',
  '/bin/ash',
  '/bin/dash',
  '/bin/zsh',
  'sh',
  'bash',
  'ash',
  'dash',
  'zsh',
]);

export function endFailure(
  { argv }: Pick<RunOperation, 'argv'>,
  { exitCode, oomKilled }: StepEnd,
  memoryBytes: number | null,
): ProcessFailure {
  const base = `process "${commandText(argv)}" did not complete successfully: exit code: ${exitCode}`;
  return new ProcessFailure(base + explanation(exitCode, oomKilled, memoryBytes), exitCode);
}

/** A command of megabytes would hide what is said of it. */
function commandText(argv: readonly string[]): string {
  const text = argv.join(' ');
  return text.length <= longestCommand ? text : `${text.slice(0, longestCommand)}… (${text.length} characters)`;
}

const longestCommand = 2000;

function explanation(exitCode: number, oomKilled: boolean, memoryBytes: number | null): string {
  if (oomKilled) {
    const limit = memoryBytes === null ? 'the machine, or the cgroup of the build, has no more' : `the limit is ${memoryBytes} bytes`;
    return `: cannot allocate memory (the kernel ended a process of it; ${limit})`;
  }
  const signal = exitCode > 128 ? signalNames.get(exitCode - 128) : undefined;
  return signal === undefined ? '' : ` (${signal})`;
}

export function startFailure({ argv }: Pick<RunOperation, 'argv'>, error: StepStartError): ProcessFailure {
  const [program = ''] = argv;
  const hint = error.exitCode === 127 && shells.has(program) ? missingShell(program) : otherHint(error);
  return new ProcessFailure(`process "${commandText(argv)}" could not be started: ${error.message}${hint}`, error.exitCode);
}

function missingShell(program: string): string {
  return `: the image has no shell ${program}. Write the command as a list, RUN ["program", "argument"], set another shell with SHELL, or take a base image that has one`;
}

function otherHint({ message, exitCode }: StepStartError): string {
  if (/argument list too long/.test(message))
    return ': Linux takes 128 KiB in one argument. COPY the script into the image, or begin a heredoc with #!';
  if (/exec format error/.test(message)) return ': the program is of another platform, or a script without a line #!';
  if (/: EROFS$/.test(message))
    return ': its mount point lies in a mount that is read-only. Have it there already, or add rw to that mount';
  if (exitCode === 127 && /no such file or directory/.test(message))
    return ': it is not in the image, or the interpreter or loader that it names is not';
  return '';
}
