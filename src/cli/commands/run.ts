import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, someArguments } from '../command.ts';
import { checkTerminal } from '../container/check-terminal.ts';
import { consoleSize } from '../container/console-size.ts';
import { createContainer } from '../container/create-container.ts';
import { runFlags } from '../container/create-flags.ts';
import { buildCreateRequest } from '../container/create-request.ts';
import { patienceOf, waitUntilReady } from '../container/readiness.ts';
import { runAttached } from '../container/run-attached.ts';
import { startExitCode } from '../container/start-error.ts';
import { errorMessage } from '../error-message.ts';
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from '../terminal/detach-keys.ts';

export const run: Command = {
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  flags: runFlags,
  args: someArguments,
  interspersed: false,
  runLike: true,
  async run(context) {
    const { flags, args, io } = context;
    const detach = flags.bool('detach') || flags.bool('wait');
    if (detach && flags.has('attach')) {
      const other = flags.bool('detach') ? 'detach' : 'wait';
      throw new CliError(`conflicting options: cannot specify both --attach and --${other}`, 1, { plain: true });
    }
    if (flags.has('wait-timeout') && !flags.bool('wait')) throw new CliError('--wait-timeout needs --wait', 125);
    const { body, attach } = buildCreateRequest(context, consoleSize(flags, io));
    if (detach)
      return runDetached(
        context,
        { ...body, AttachStdin: false, AttachStdout: false, AttachStderr: false, StdinOnce: false },
        args[0] ?? '',
      );
    checkTerminal(() => io.stdin, attach.stdin, flags.bool('tty'));
    const detachKeys = flags.string('detach-keys') || (flags.bool('tty') ? (context.config.file.detachKeys ?? '') : '');
    const detachKeyBytes = parseDetachKeys(detachKeys || DEFAULT_DETACH_KEYS);
    const id = await createOrExplain(context, body, args[0] ?? '');
    return runAttached(context, {
      id,
      attach,
      tty: flags.bool('tty'),
      autoRemove: flags.bool('rm'),
      signalProxy: flags.bool('sig-proxy'),
      detachKeys,
      detachKeyBytes,
      errorPrefix: 'gantry: ',
    });
  },
};

async function runDetached(context: CommandContext, body: Record<string, unknown>, image: string): Promise<number> {
  const id = await createOrExplain(context, body, image);
  try {
    await context.client.containers.start(id);
  } catch (error) {
    context.print(`${id}\n`);
    throw new CliError(errorMessage(error), startExitCode(error instanceof Error ? error.message : ''), { cause: error });
  }
  if (context.flags.bool('wait')) await waitUntilUsable(context, id);
  context.print(`${id}\n`);
  return 0;
}

async function waitUntilUsable({ client, flags }: CommandContext, id: string): Promise<void> {
  const { Name, State } = await client.containers.inspect(id);
  if (!State.Health) return;
  const name = Name.replace(/^\//, '');
  try {
    await waitUntilReady(client.containers, name, { kind: 'daemon', condition: 'healthy' }, patienceOf(flags, 'wait-timeout'));
  } catch (error) {
    // It was started as asked for: nothing is wrong with the command line.
    throw new CliError(errorMessage(error), 1, { cause: error, plain: true });
  }
}

/** Like a start that fails, a create that fails has Docker's exit codes by what the message says. */
async function createOrExplain(context: CommandContext, body: Record<string, unknown>, image: string): Promise<string> {
  try {
    return await createContainer(context, body, image);
  } catch (error) {
    if (error instanceof CliError) throw error;
    const message = errorMessage(error);
    throw new CliError(message, startExitCode(message), { cause: error });
  }
}
