import type { LogsQuery } from '../../client/container-api.ts';
import { CliError, UsageError } from '../cli-error.ts';
import type { Command, CommandContext } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import type { FlagValues } from '../flags/flag-values.ts';
import { showSeveralLogs } from '../logs/several-logs.ts';
import { collectFilters } from '../parse/filter-option.ts';
import { parseMoment } from '../parse/moment.ts';
import { copyOutput } from '../terminal/stdio-session.ts';

export const logs: Command = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: defineFlags(`
      --details        Show extra details provided to logs
      --filter filter  Also the logs of containers that match, as with ps; with --follow those that start later too
  -f, --follow         Follow log output
      --no-color       Names of several containers without colours
      --since string   Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
  -n, --tail string    Number of lines to show from the end of the logs (default "all")
  -t, --timestamps     Show timestamps
      --until string   Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
`),
  args: { min: 0, max: Number.POSITIVE_INFINITY },
  async run(context) {
    const { flags, args, io, client } = context;
    const filters = collectFilters(flags);
    const filtered = Object.keys(filters).length > 0;
    if (args.length === 0 && !filtered) throw new UsageError(`'${context.title}' requires 1 argument`, 1, true);
    if (args.length === 1 && !filtered) return await showOne(context);
    const query = logsQuery(flags);
    const color = io.stdout.isTTY === true && (io.env.NO_COLOR ?? '') === '' && !flags.bool('no-color');
    await showSeveralLogs(client, io, { references: args, filters: filtered ? filters : null, query, color });
    return 0;
  },
};

function logsQuery(flags: FlagValues): Omit<LogsQuery, 'stdout' | 'stderr'> {
  return {
    follow: flags.bool('follow'),
    timestamps: flags.bool('timestamps'),
    details: flags.bool('details'),
    since: flagMoment(flags, 'since'),
    until: flagMoment(flags, 'until'),
    tail: flags.string('tail'),
  };
}

/** Moments are read after the container was asked about, as Docker's command does. */
async function showOne({ args, flags, client, io }: CommandContext): Promise<number> {
  const details = await client.containers.inspect(args[0] ?? '');
  const query = { ...logsQuery(flags), stdout: true, stderr: true };
  const { stream, framed } = await client.containers.logs(details.Id, query, details.Config.Tty);
  await copyOutput(stream, framed, io);
  return 0;
}

function flagMoment(flags: FlagValues, name: string): string {
  try {
    return parseMoment(flags.string(name));
  } catch (error) {
    throw new CliError(`invalid value for "${name}": ${errorMessage(error)}`, 1, { cause: error });
  }
}
