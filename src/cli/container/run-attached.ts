/**
 * Starts a container and follows it to its end:
 *
 *   attach (streams joined before anything can be written) ∥ wait (registered before the exit can happen) → start → streams → exit code
 */
import { errorText } from '../../base/errors.ts';
import type { PendingWait } from '../../client/container-api.ts';
import { CliError, ExitWithCode } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { SignalProxy } from '../terminal/signal-proxy.ts';
import { type SessionEnd, StdioSession } from '../terminal/stdio-session.ts';
import { followWindowSize } from '../terminal/window-size.ts';
import { startExitCode } from './start-error.ts';

export interface AttachedRun {
  readonly id: string;
  readonly attach: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  readonly tty: boolean;
  /** The daemon removes it after its end. */
  readonly autoRemove: boolean;
  readonly signalProxy: boolean;
  /** As given; empty: the default, or the configuration's. */
  readonly detachKeys: string;
  readonly detachKeyBytes: Buffer;
  /** What stands before an error's text: Docker's `run` says its own name. */
  readonly errorPrefix: string;
}

export async function runAttached(context: CommandContext, run: AttachedRun): Promise<number> {
  const { client, io } = context;
  using proxy = run.signalProxy ? new SignalProxy((signal) => client.containers.kill(run.id, signal)) : null;
  const [connection, wait] = await Promise.all([
    client.containers.attach(run.id, { ...run.attach, ...(run.detachKeys === '' ? {} : { detachKeys: run.detachKeys }) }, run.tty),
    client.containers.wait(run.id, run.autoRemove ? 'removed' : 'next-exit'),
  ]);
  using session = new StdioSession(connection, io, { stdin: run.attach.stdin, tty: run.tty, detachKeys: run.detachKeyBytes });
  await startOrExplain(context, run, wait, session);
  proxy?.containerRuns();
  using _size = run.tty ? followWindowSize(io.stdout, ({ rows, columns }) => client.containers.resize(run.id, rows, columns)) : null;
  const end = await firstEnd(session, proxy);
  if (end === 'forced') throw new CliError('got 3 SIGTERM/SIGINTs, forcefully exiting', 1, { plain: true });
  if (end === 'detached') return 0;
  return exitCode(context, wait, proxy);
}

function firstEnd(session: StdioSession, proxy: SignalProxy | null): Promise<SessionEnd | 'forced'> {
  return proxy === null ? session.end : Promise.race([session.end, proxy.forced]);
}

async function startOrExplain(context: CommandContext, run: AttachedRun, wait: PendingWait, session: StdioSession): Promise<void> {
  try {
    await context.client.containers.start(run.id);
  } catch (error) {
    session[Symbol.dispose]();
    context.printError(`${run.errorPrefix}${errorMessage(error)}\n`);
    if (run.errorPrefix !== '') context.printError(`\nRun '${context.title} --help' for more information\n`);
    // The daemon removes what could not start: only then is the name free again for whoever runs us next.
    if (run.autoRemove) await wait.exit.catch(() => {});
    throw new ExitWithCode(run.errorPrefix === '' ? 1 : startExitCode(errorText(error)));
  }
}

async function exitCode(context: CommandContext, wait: PendingWait, proxy: SignalProxy | null): Promise<number> {
  const answer = await (proxy === null ? wait.exit : Promise.race([wait.exit, proxy.forced]));
  if (answer === 'forced') throw new CliError('got 3 SIGTERM/SIGINTs, forcefully exiting', 1, { plain: true });
  if (answer.Error?.Message) {
    context.printError(`Error waiting for container: ${answer.Error.Message}\n`);
    return 125;
  }
  return answer.StatusCode;
}
