/** `builder history ls` and `inspect`: the builds that the daemon remembers. */
import type { BuildRecordAnswer } from '../../client/builder-api.ts';
import { CliError } from '../cli-error.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { ago, rfc3339 } from '../format/duration-text.ts';
import { formatRows } from '../format/row-format.ts';
import { alignColumns } from '../format/tab-writer.ts';
import { showObjects } from '../inspect/show-objects.ts';
import { tameLines, tameText } from '../progress/visible-text.ts';
import { Struct } from '../template/go-value.ts';

const headers = {
  ID: 'BUILD ID',
  Name: 'NAME',
  Status: 'STATUS',
  CreatedSince: 'CREATED AT',
  CreatedAt: 'CREATED AT',
  Duration: 'DURATION',
  Steps: 'CACHED',
  ImageID: 'IMAGE',
};
const SHORT = 12;

export const builderHistoryLs: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
      --no-trunc        Don't truncate output
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    const rows = (await client.builder.history()).map((record) => row(record, !flags.bool('no-trunc')));
    const defaultTable = '{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.CreatedSince}}\t{{.Duration}}\t{{.Steps}}';
    context.print(formatRows({ format: flags.string('format'), defaultTable, headers }, rows));
    return 0;
  },
};

export const builderHistoryInspect: Command = {
  usage: '[OPTIONS] [BUILD]',
  flags: defineFlags('-f, --format string   Format output: pretty, json, or a Go template (default "pretty")'),
  args: { min: 0, max: 1 },
  async run(context) {
    const record = find(await context.client.builder.history(), context.args[0] ?? '');
    const format = context.flags.string('format');
    if (format !== 'pretty') return await showObjects(context, [record.ID], format, async () => JSON.stringify(record));
    context.print(prettyText(record));
    return 0;
  },
};

/** By the start of its ID; none: the latest. */
function find(records: readonly BuildRecordAnswer[], id: string): BuildRecordAnswer {
  const found = records.filter(({ ID }) => ID.startsWith(id));
  const exact = found.find(({ ID }) => ID === id) ?? found[0];
  if (exact === undefined) throw new CliError(id === '' ? 'there was no build yet' : `no such build: ${id}`);
  if (id !== '' && exact.ID !== id && found.length > 1) throw new CliError(`several builds begin with ${id}: write more of the ID`);
  return exact;
}

function row(record: BuildRecordAnswer, truncate: boolean): Struct {
  const { ID, Name, StartedAt, Steps, CachedSteps, ImageID } = record;
  const started = Date.parse(StartedAt) / 1000;
  return new Struct(
    '*formatter.buildHistoryContext',
    {
      CreatedAt: rfc3339(started),
      CreatedSince: ago(started),
      Duration: duration(record),
      ID: truncate ? ID.slice(0, SHORT) : ID,
      ImageID: ImageID ?? '',
      Name: tameText(Name),
      Status: statusWord(record),
      Steps: `${CachedSteps}/${Steps}`,
    },
    { sorted: true },
  );
}

function statusWord({ Status }: BuildRecordAnswer): string {
  return Status.slice(0, 1).toUpperCase() + Status.slice(1);
}

function duration({ StartedAt, CompletedAt }: BuildRecordAnswer): string {
  const seconds = ((CompletedAt === null ? Date.now() : Date.parse(CompletedAt)) - Date.parse(StartedAt)) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s${CompletedAt === null ? '+' : ''}`;
  return `${Math.trunc(seconds / 60)}m ${Math.trunc(seconds % 60)}s${CompletedAt === null ? '+' : ''}`;
}

function prettyText(record: BuildRecordAnswer): string {
  const lines: readonly (readonly [string, string])[] = [
    ['Build', record.ID],
    ['Name', tameText(record.Name)],
    ['Status', statusWord(record)],
    ['Started', rfc3339(Date.parse(record.StartedAt) / 1000)],
    ['Duration', duration(record)],
    ['Steps', `${record.Steps}, ${record.CachedSteps} of them from the cache`],
    ['Warnings', String(record.Warnings)],
    ['Image', record.ImageID ?? ''],
  ];
  const table = lines.flatMap(([name, value]) => (value === '' ? [] : [`${name}:\t${value}\n`])).join('');
  return alignColumns(table) + (record.Error === null ? '' : `Error:\n${tameLines(record.Error).replace(/^/gm, '  ')}\n`);
}
