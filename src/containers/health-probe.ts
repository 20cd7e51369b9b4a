/**
 * One health check: an exec in the container, ended when it takes too long. What it says is never an error of ours: a program that is missing is a failure of
 * the check, as in Docker.
 */
import { randomBytes } from 'node:crypto';
import { errorText } from '../base/errors.ts';
import { goDuration } from '../base/go-duration.ts';
import { withPatience } from '../base/patience.ts';
import { endSession } from '../linux/end-session.ts';
import type { ExecConfig } from './config.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { cgroupsPathOf } from './container-paths.ts';
import type { AttachSession } from './containers.ts';
import { addExec, startExec } from './exec-container.ts';
import { type Exec, probeIdPrefix } from './exec-registry.ts';
import type { HealthCheck, HealthResult } from './health.ts';
import { HealthOutput } from './health-output.ts';
import { isPaused } from './pause-container.ts';

/** No exit code of the check's own. */
const noExitCode = -1;
/** After SIGKILL: a process that stays longer hangs in the kernel, and is waited for no more. */
const endedMs = 10_000;

export async function probeHealth(context: ContainerContext, container: Container, check: HealthCheck): Promise<HealthResult> {
  const start = Date.now();
  const result = (exitCode: number, output: string): HealthResult => ({ start, end: Date.now(), exitCode, output });
  const id = probeIdPrefix + randomBytes(32).toString('hex').slice(probeIdPrefix.length);
  const exec = addExec(context, container, probeConfig(container, check), id);
  const output = new HealthOutput();
  const session = startExec(context, exec, { detach: false, tty: false, consoleSize: null });
  const done = session.then((begun) => readToEnd(begun, exec, output));
  try {
    if (await isInTime(container, done, check.timeoutMs)) return result(await done, output.text());
    await endProbe(context, container, exec, session, done);
    const printed = output.text();
    return result(noExitCode, `Health check exceeded timeout (${goDuration(check.timeoutMs)})${printed === '' ? '' : `: ${printed}`}`);
  } catch (error) {
    return result(noExitCode, errorText(error));
  }
}

/** One that ran when the last daemon ended: nobody waits for it any more. */
export function endAdoptedProbe(context: ContainerContext, container: Container, pid: number): void {
  endSession(pid, cgroupsPathOf(context, container));
}

function probeConfig({ config }: Container, check: HealthCheck): ExecConfig {
  return {
    User: '',
    Privileged: false,
    Tty: false,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    DetachKeys: '',
    Env: [],
    WorkingDir: config.WorkingDir,
    Cmd: [...check.command],
  };
}

/** Its exit code, once everything it printed has been read. */
async function readToEnd(session: AttachSession | null, exec: Exec, output: HealthOutput): Promise<number> {
  if (session !== null) await readAll(session, output);
  return exec.state.kind === 'ended' ? exec.state.exitCode : noExitCode;
}

async function readAll({ stream }: AttachSession, output: HealthOutput): Promise<void> {
  stream.end();
  for await (const bytes of stream) output.take(bytes as Buffer);
}

/** Time does not pass for a container that is paused. */
async function isInTime(container: Container, done: Promise<number>, timeoutMs: number): Promise<boolean> {
  const settled = done.then(
    () => true,
    () => true,
  );
  for (;;) {
    const isSettled = (await withPatience(settled, timeoutMs)) !== 'late';
    if (isSettled || !isPaused(container)) return isSettled;
  }
}

async function endProbe(
  context: ContainerContext,
  container: Container,
  exec: Exec,
  begun: Promise<unknown>,
  done: Promise<number>,
): Promise<void> {
  // It may still be on its way into the container: it is ended when it is there, even if nobody waits for that any more.
  const ending = begun.then(() => {
    if (exec.state.kind === 'running') endSession(exec.state.process.pid, cgroupsPathOf(context, container));
    return done;
  });
  // Whatever becomes of it: its result is that it was too slow.
  await withPatience(
    ending.catch(() => noExitCode),
    endedMs,
  );
}
