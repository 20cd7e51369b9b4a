import { CliError } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import { checkTerminal } from '../container/check-terminal.ts';
import { consoleSize } from '../container/console-size.ts';
import { startExitCode } from '../container/start-error.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { collectEnvironment, validateEnvironmentEntry } from '../parse/environment.ts';
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from '../terminal/detach-keys.ts';
import { StdioSession } from '../terminal/stdio-session.ts';
import { followWindowSize } from '../terminal/window-size.ts';

export const exec: Command = {
  usage: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  flags: defineFlags(`
  -d, --detach               Detached mode: run command in the background
      --detach-keys string   Override the key sequence for detaching a container
  -e, --env list             Set environment variables
      --env-file list        Read in a file of environment variables
  -i, --interactive          Keep STDIN open even if not attached
      --privileged           Give extended privileges to the command
  -t, --tty                  Allocate a pseudo-TTY
  -u, --user string          Username or UID (format: "<name|uid>[:<group|gid>]")
  -w, --workdir string       Working directory inside the container
`),
  args: { min: 2, max: Number.POSITIVE_INFINITY },
  interspersed: false,
  async run(context) {
    const { flags, args, client, io, config } = context;
    const [container = '', ...command] = args;
    const detach = flags.bool('detach');
    const tty = flags.bool('tty');
    const stdin = flags.bool('interactive') && !detach;
    const env = environment(context);
    const detachKeys = flags.string('detach-keys') || (config.file.detachKeys ?? '');
    const detachKeyBytes = parseDetachKeys(detachKeys || DEFAULT_DETACH_KEYS);
    const size = detach ? ([0, 0] as const) : consoleSize(flags, io);
    if (!detach) checkTerminal(() => io.stdin, stdin, tty);
    const id = await client.execs.create(container, {
      User: flags.string('user'),
      Privileged: flags.bool('privileged'),
      Tty: tty,
      ...(size[0] > 0 ? { ConsoleSize: size } : {}),
      AttachStdin: stdin,
      AttachStdout: !detach,
      AttachStderr: !detach,
      DetachKeys: detachKeys,
      Env: env.length > 0 ? env : null,
      WorkingDir: flags.string('workdir'),
      Cmd: command,
    });
    if (detach) {
      await client.execs.startDetached(id, tty);
      return 0;
    }
    return execAttached(context, id, { tty, stdin, size, detachKeys: detachKeyBytes });
  },
};

/** Docker's `exec` has 125 for wrong flags only: a file that cannot be read is an error like any other. */
function environment({ flags, io }: CommandContext): string[] {
  const given = flags.parsedList('env', validateEnvironmentEntry);
  try {
    return collectEnvironment(flags.list('env-file'), given, io.env);
  } catch (error) {
    throw new CliError(errorMessage(error), 1, { cause: error });
  }
}

interface AttachedExec {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly size: readonly [number, number];
  readonly detachKeys: Buffer;
}

async function execAttached(context: CommandContext, id: string, { tty, stdin, size, detachKeys }: AttachedExec): Promise<number> {
  const { client, io } = context;
  const connection = await startExec(context, id, tty, size);
  using session = new StdioSession(connection, io, { stdin, tty, detachKeys });
  using _size = tty ? followWindowSize(io.stdout, ({ rows, columns }) => client.execs.resize(id, rows, columns)) : null;
  if ((await session.end) === 'detached') {
    session[Symbol.dispose]();
    // Docker's exit code for a client that left while the process goes on.
    context.printError('read escape sequence\n');
    return 1;
  }
  const { Running, ExitCode } = await client.execs.inspect(id);
  if (Running) throw new CliError('the connection to the command was lost; it goes on running in the container');
  return ExitCode ?? 0;
}

async function startExec(context: CommandContext, id: string, tty: boolean, size: readonly [number, number]) {
  try {
    return await context.client.execs.startAttached(id, tty, tty && size[0] > 0 ? size : null);
  } catch (error) {
    const code = startExitCode(error instanceof Error ? error.message : '');
    throw new CliError(errorMessage(error), code === 125 ? 1 : code, { cause: error });
  }
}
