import type { EventMessage } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { shortId } from '../format/ellipsis.ts';
import { formatRows } from '../format/row-format.ts';
import { LiveScreen } from '../terminal/live-screen.ts';
import { UsageWatch } from '../usage/usage-watch.ts';
import { statsHeaders, statsRow, statsTable } from '../views/stats-row.ts';

const redrawMs = 500;

export const stats: Command = {
  usage: '[OPTIONS] [CONTAINER...]',
  flags: defineFlags(`
  -a, --all             Show all containers (default shows just running)
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
      --no-stream       Disable streaming stats and only pull the first result
      --no-trunc        Do not truncate output
`),
  args: { min: 0, max: Number.POSITIVE_INFINITY },
  async run(context) {
    const stream = !context.flags.bool('no-stream');
    const format = context.flags.string('format') || (context.config.file.statsFormat ?? '');
    using watch = new UsageWatch(context.client, stream);
    const follow = context.args.length === 0 ? await watchAll(context, watch) : watchNamed(watch, context.args);
    await watch.ready();
    if (context.args.length > 0) refuseFailed(watch);
    const text = (): string => tableOf(context, watch, format);
    if (!stream) {
      context.print(text());
      return 0;
    }
    const screen = new LiveScreen(context.io.stdout);
    const redraw = setInterval(() => screen.show(text()), redrawMs);
    screen.show(text());
    try {
      await follow();
    } finally {
      clearInterval(redraw);
    }
    return 0;
  },
};

function tableOf(context: CommandContext, watch: UsageWatch, format: string): string {
  const truncate = !context.flags.bool('no-trunc');
  const rows = watch.containers.map((container) => statsRow(container, truncate));
  return formatRows({ format, defaultTable: statsTable(watch.containers), headers: statsHeaders }, rows);
}

function watchNamed(watch: UsageWatch, names: readonly string[]): () => Promise<void> {
  for (const name of names) watch.add(name);
  return () => new Promise<void>(() => {});
}

/** Those that come and go meanwhile are followed by their events, asked for first so that none is missed. */
async function watchAll({ client, flags }: CommandContext, watch: UsageWatch): Promise<() => Promise<void>> {
  const all = flags.bool('all');
  const stream = !flags.bool('no-stream');
  const events = stream ? await client.system.events({ since: '', until: '', filters: { type: ['container'] } }) : [];
  for (const { Id: id } of await client.containers.list({ all })) watch.add(shortId(id));
  return async () => {
    for await (const event of events) follow(watch, event, all);
    throw new CliError('the daemon has ended the stream of events');
  };
}

function follow(watch: UsageWatch, { Action: action, Actor }: EventMessage, all: boolean): void {
  const id = shortId(Actor?.ID ?? '');
  if (action === 'start' || (all && action === 'create')) watch.add(id);
  else if (action === 'destroy' || (!all && action === 'die')) watch.remove(id);
}

function refuseFailed(watch: UsageWatch): void {
  const failed = watch.containers.filter(({ error }) => error !== null);
  if (failed.length > 0) throw new CliError(failed.map(({ error }) => errorMessage(error)).join('\n'));
}
