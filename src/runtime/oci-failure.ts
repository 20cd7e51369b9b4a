/**
 * Why a program of an OCI runtime did not make the process: what it wrote into its log (`--log-format json`, one object a line), as a `StartError` in the words
 * Docker uses for the same.
 */
import { open } from 'node:fs/promises';
import { ociPaths } from './oci-plan.ts';
import { detail, phase } from './protocol.ts';
import { StartError } from './runtime.ts';
import { errnoName, errnoText, type StartFailure, type StartKind } from './start-failure.ts';

export interface FailedProgram {
  /** As `--runtime` names it. */
  readonly name: string;
  readonly program: string;
  readonly directory: string;
  readonly patienceMs: number;
  readonly exec: string | null;
}

/** Null: the failure is none of the runtime's. */
export async function ociStartError(failure: StartFailure, failed: FailedProgram): Promise<StartError | null> {
  if (
    failure.phase === phase.step &&
    failure.detail !== detail.none &&
    failure.detail !== detail.subpath &&
    failure.detail !== detail.idmap
  ) {
    const message = `the runtime "${failed.name}" cannot be run: ${failed.program}: ${errnoText(failure.errno)}`;
    return new StartError(`${prefixes[failed.exec === null ? 'container' : 'exec']}${message}: unknown`, 128, { details: { ...failure } });
  }
  if (failure.phase !== phase.program && failure.phase !== phase.takeover) return null;
  const said = await lastError(ociPaths(failed.directory, failed.exec).log);
  const kind: StartKind = failed.exec === null ? 'container' : 'exec';
  const reason = failure.phase === phase.takeover ? takeoverText(failure, failed) : (said ?? silentText(failure, failed));
  const code = exitCodeOf(reason);
  return new StartError(`${prefixes[kind]}${withHint(reason, code)}: unknown`, code, { details: { ...failure, runtime: failed.name } });
}

const prefixes: Readonly<Record<StartKind, string>> = {
  container: 'failed to create task for container: failed to create shim task: OCI runtime create failed: ',
  exec: 'OCI runtime exec failed: ',
};

const ETIMEDOUT = 110;

function takeoverText(failure: StartFailure, failed: FailedProgram): string {
  const command = `${failed.program} ${commandOf(failure, failed)}`;
  if (failure.errno === ETIMEDOUT) {
    return `the runtime "${failed.name}" hangs: "${command}" did not end within ${failed.patienceMs / 1000} s and was killed`;
  }
  return `"${command}" of the runtime "${failed.name}" ended, but left no process to look after: ${errnoName(failure.errno)}`;
}

function silentText(failure: StartFailure, failed: FailedProgram): string {
  const { errno: status } = failure;
  const end = (status & 0x7f) === 0 ? `with status ${(status >> 8) & 0xff}` : `by signal ${status & 0x7f}`;
  return `"${failed.program} ${commandOf(failure, failed)}" of the runtime "${failed.name}" ended ${end} and gave no reason in its log`;
}

function commandOf({ index }: StartFailure, { exec }: FailedProgram): string {
  if (exec !== null) return 'exec';
  return index === 0 ? 'create' : 'start';
}

/** Other runtimes say the same in other words than runc. */
function exitCodeOf(text: string): 126 | 127 | 128 {
  if (/executable file .*not found|exec: .*no such file or directory|executable .*no such file or directory/i.test(text)) return 127;
  return /exec(utable)?\b.*(permission denied|is a directory|not a directory|operation not permitted)/i.test(text) ? 126 : 128;
}

const clientHints = {
  127: { pattern: /executable file not found|no such file or directory/, text: 'no such file or directory' },
  126: { pattern: /permission denied|is a directory/, text: 'permission denied' },
} as const;

/** `docker run` takes its exit code from these words. */
function withHint(reason: string, code: 126 | 127 | 128): string {
  const hint = code === 128 ? null : clientHints[code];
  return hint === null || hint.pattern.test(reason) ? reason : `${reason}: ${hint.text}`;
}

const maxLogBytes = 64 * 1024;

async function lastError(log: string): Promise<string | null> {
  let text = '';
  try {
    await using file = await open(log, 'r');
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxLogBytes), 0, maxLogBytes, Math.max(0, size - maxLogBytes));
    text = buffer.toString('utf8', 0, bytesRead);
  } catch {
    return null;
  }
  return (
    text
      .split('\n')
      .map(errorOfLine)
      .findLast((message) => message !== null) ?? null
  );
}

function errorOfLine(line: string): string | null {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null) return null;
    const { level, msg } = entry as { readonly level?: unknown; readonly msg?: unknown };
    return (level === 'error' || level === 'fatal') && typeof msg === 'string' ? msg : null;
  } catch {
    return null;
  }
}
