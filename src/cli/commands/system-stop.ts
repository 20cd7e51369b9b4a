/**
 * Ends the daemon: SIGTERM to the process that its pid file names, then waits until it has left. Containers go on running, unless
 * they are stopped first. There is no API call for this: whoever may talk to a socket may not always end its daemon.
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasErrnoCode } from '../../base/errors.ts';
import { parseAddress } from '../../client/address.ts';
import { ConnectError } from '../../client/connection.ts';
import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, noArguments } from '../command.ts';
import { eachName } from '../container/each-name.ts';
import { defineFlags } from '../flags/flag-spec.ts';

const POLL_MS = 10;
/** What the daemon calls itself (src/main/main.ts). */
const DAEMON_NAME = 'gantryd';

export const systemStop: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
      --containers       Stop all running containers first
      --pidfile string   The daemon's pid file (default: gantry.pid beside its socket)
  -t, --timeout int      Seconds to wait for the daemon to end (default 30)
`),
  args: noArguments,
  async run(context) {
    const { flags } = context;
    if (!(await answers(context))) {
      context.print(`No daemon answers at ${context.address}\n`);
      return 0;
    }
    if (flags.bool('containers')) await stopContainers(context);
    await stopDaemon(context);
    context.print('The daemon has stopped\n');
    return 0;
  },
};

/** By the flags `pidfile` and `timeout`. */
export async function stopDaemon(context: CommandContext): Promise<void> {
  const pid = readPid(pidfileOf(context));
  terminate(pid);
  await untilGone(pid, context.flags.int('timeout') * 1000);
}

function pidfileOf({ flags, address }: CommandContext): string {
  const named = flags.string('pidfile');
  if (named.startsWith('/')) return named;
  const parsed = parseAddress(address);
  if (parsed.kind === 'unix') return `${dirname(parsed.path)}/gantry.pid`;
  throw new CliError(`the daemon at ${address} may run on another machine: stop it there, or give --pidfile`);
}

async function stopContainers(context: CommandContext): Promise<void> {
  const running = await context.client.containers.list({});
  const names = running.map((container) => container.Names?.[0]?.replace(/^\//, '') ?? container.Id);
  const failed = await eachName(context, names, async (name) => {
    await context.client.containers.stop(name, {});
    return name;
  });
  if (failed !== 0) throw new CliError('not all containers could be stopped: the daemon goes on running');
}

function readPid(path: string): number {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new CliError(
      `cannot stop the daemon: its pid file ${path} cannot be read (${error instanceof Error ? error.message : String(error)}): was it started with --pidfile elsewhere?`,
      1,
      { cause: error },
    );
  }
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new CliError(`cannot stop the daemon: ${path} does not hold a process id`);
  return Number(text);
}

function terminate(pid: number): void {
  // After a crash the number may belong to somebody else by now.
  const name = processName(pid);
  if (name !== null && name !== DAEMON_NAME)
    throw new CliError(`cannot stop the daemon: the process ${pid} named by its pid file is "${name}", not a daemon of ours`);
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    if (hasErrnoCode(error, 'ESRCH')) throw new CliError(`cannot stop the daemon: the process ${pid} named by its pid file is gone`);
    throw new CliError(`cannot stop the daemon (process ${pid}): ${error instanceof Error ? error.message : String(error)}`, 1, {
      cause: error,
    });
  }
}

function processName(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return null;
  }
}

async function answers(context: CommandContext): Promise<boolean> {
  try {
    await context.client.system.ping();
    return true;
  } catch (error) {
    if (error instanceof ConnectError && !hasErrnoCode(error.cause, 'EACCES', 'EPERM')) return false;
    throw error;
  }
}

/** The process, not only its socket: until it has left, it holds the data root, and no other daemon can have it. */
async function untilGone(pid: number, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (runs(pid)) {
    if (Date.now() > deadline) throw new CliError(`the daemon (process ${pid}) still runs after ${timeoutMs / 1000} seconds`);
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

/** A process that ended but was not waited for yet counts as gone. */
function runs(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
