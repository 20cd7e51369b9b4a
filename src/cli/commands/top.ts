import { CliError } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { alignColumns } from '../format/tab-writer.ts';
import { LiveScreen } from '../terminal/live-screen.ts';
import { topTable } from '../usage/top-table.ts';

export const top: Command = {
  usage: '[CONTAINER [ps OPTIONS]]',
  flags: defineFlags(`
      --no-stream   Without a container: print the table of all containers once (beyond Docker)
`),
  args: { min: 0, max: Number.POSITIVE_INFINITY },
  interspersed: false,
  async run(context) {
    const [name, ...psOptions] = context.args;
    if (name === undefined) return await showAll(context);
    if (context.flags.has('no-stream')) throw new CliError('--no-stream is for the table of all containers: leave the container out');
    const { Titles, Processes } = await context.client.containers.top(name, psOptions.join(' '));
    const lines = [Titles, ...(Processes ?? [])].map((fields) => fields.join('\t')).join('\n');
    context.print(`${alignColumns(lines, 20, 3)}\n`);
    return 0;
  },
};

/** Live, until the person ends it. What was used is known from the second answer on. */
async function showAll(context: CommandContext): Promise<number> {
  const { client, flags, io } = context;
  const once = flags.bool('no-stream');
  const screen = new LiveScreen(io.stdout);
  let before = null;
  for await (const table of await client.system.usage()) {
    if (!once) screen.show(topTable(before, table));
    else if (before !== null) {
      context.print(topTable(before, table));
      return 0;
    }
    before = table;
  }
  throw new CliError('the daemon has ended the stream of usage');
}
