import { CliError } from '../cli-error.ts';
import { type Command, oneArgument } from '../command.ts';
import { checkTerminal } from '../container/check-terminal.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { DEFAULT_DETACH_KEYS, parseDetachKeys } from '../terminal/detach-keys.ts';
import { SignalProxy } from '../terminal/signal-proxy.ts';
import { StdioSession } from '../terminal/stdio-session.ts';
import { followWindowSize, type WindowSize, windowSize } from '../terminal/window-size.ts';

export const attach: Command = {
  usage: '[OPTIONS] CONTAINER',
  flags: defineFlags(`
      --detach-keys string   Override the key sequence for detaching a container
      --no-stdin             Do not attach STDIN
      --sig-proxy            Proxy all received signals to the process (default true)
`),
  args: oneArgument,
  async run(context) {
    const { flags, client, io, config } = context;
    const details = await client.containers.inspect(context.args[0] ?? '');
    const { Running, Paused, Restarting } = details.State;
    if (!Running) throw new CliError('You cannot attach to a stopped container, start it first');
    if (Paused) throw new CliError('You cannot attach to a paused container, unpause it first');
    if (Restarting) throw new CliError('You cannot attach to a restarting container, wait until it is running');
    const tty = details.Config.Tty;
    const stdin = !flags.bool('no-stdin') && details.Config.OpenStdin;
    checkTerminal(() => io.stdin, stdin, tty);
    const detachKeys = flags.string('detach-keys') || (config.file.detachKeys ?? '');
    const detachKeyBytes = parseDetachKeys(detachKeys || DEFAULT_DETACH_KEYS);
    const wait = await client.containers.wait(details.Id, '');
    const connection = await client.containers.attach(
      details.Id,
      { stdin, stdout: true, stderr: true, ...(detachKeys === '' ? {} : { detachKeys }) },
      tty,
    );
    using proxy = flags.bool('sig-proxy') && !tty ? new SignalProxy((signal) => client.containers.kill(details.Id, signal)) : null;
    proxy?.containerRuns();
    using session = new StdioSession(connection, io, { stdin, tty, detachKeys: detachKeyBytes });
    if (tty) await redraw(windowSize(io.stdout), (rows, columns) => client.containers.resize(details.Id, rows, columns));
    using _size = tty ? followWindowSize(io.stdout, ({ rows, columns }) => client.containers.resize(details.Id, rows, columns)) : null;
    const end = await (proxy === null ? session.end : Promise.race([session.end, proxy.forced]));
    if (end === 'forced') throw new CliError('got 3 SIGTERM/SIGINTs, forcefully exiting', 1, { plain: true });
    if (end === 'detached') {
      session[Symbol.dispose]();
      // Docker's exit code for a client that left while the process goes on.
      context.printError('read escape sequence\n');
      return 1;
    }
    return (await wait.exit).StatusCode;
  },
};

/** A shell shows its prompt again only when the size of its terminal changes: whoever attaches a second time would see nothing. */
async function redraw({ rows, columns }: WindowSize, resize: (rows: number, columns: number) => Promise<void>): Promise<void> {
  if (rows > 0 && columns > 0) await resize(rows + 1, columns + 1).catch(() => {});
}
