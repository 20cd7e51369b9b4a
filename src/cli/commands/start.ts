import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, someArguments } from '../command.ts';
import { checkTerminal } from '../container/check-terminal.ts';
import { runAttached } from '../container/run-attached.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from '../terminal/detach-keys.ts';

export const start: Command = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: defineFlags(`
  -a, --attach                  Attach STDOUT/STDERR and forward signals
      --checkpoint string       Restore from this checkpoint
      --checkpoint-dir string   Use a custom checkpoint storage directory
      --detach-keys string      Override the key sequence for detaching a container
  -i, --interactive             Attach container's STDIN
`),
  args: someArguments,
  run(context) {
    const { flags, args } = context;
    for (const name of ['checkpoint', 'checkpoint-dir']) {
      if (flags.has(name)) throw new CliError(`--${name} is not supported: checkpoints do not exist here`, 125);
    }
    if (!flags.bool('attach') && !flags.bool('interactive')) return startEach(context);
    if (args.length > 1) throw new CliError('you cannot start and attach multiple containers at once');
    return startAttached(context, args[0] ?? '');
  },
};

/** One after the other, in the order given: later ones may need earlier ones. */
async function startEach(context: CommandContext): Promise<number> {
  const failed: string[] = [];
  for (const name of context.args) {
    try {
      await context.client.containers.start(name);
      context.print(`${name}\n`);
    } catch (error) {
      context.printError(`${errorMessage(error)}\n`);
      failed.push(name);
    }
  }
  if (failed.length > 0) throw new CliError(`Error: failed to start containers: ${failed.join(', ')}`);
  return 0;
}

async function startAttached(context: CommandContext, name: string): Promise<number> {
  const { flags, client, io, config } = context;
  const details = await client.containers.inspect(name);
  const stdin = flags.bool('interactive') && details.Config.OpenStdin;
  checkTerminal(() => io.stdin, stdin, details.Config.Tty);
  const detachKeys = flags.string('detach-keys') || (config.file.detachKeys ?? '');
  return runAttached(context, {
    id: details.Id,
    attach: { stdin, stdout: true, stderr: true },
    tty: details.Config.Tty,
    autoRemove: details.HostConfig.AutoRemove ?? false,
    signalProxy: !details.Config.Tty,
    detachKeys,
    detachKeyBytes: parseDetachKeys(detachKeys || DEFAULT_DETACH_KEYS),
    errorPrefix: '',
  });
}
