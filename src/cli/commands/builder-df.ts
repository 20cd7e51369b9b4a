import type { BuildCacheRecord } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { ago, rfc3339 } from '../format/duration-text.ts';
import { ellipsis } from '../format/ellipsis.ts';
import { formatRows } from '../format/row-format.ts';
import { humanSize } from '../format/size-text.ts';
import { alignColumns } from '../format/tab-writer.ts';
import { collectFilters } from '../parse/filter-option.ts';
import { tameText } from '../progress/visible-text.ts';
import { Struct } from '../template/go-value.ts';

const headers = {
  ID: 'ID',
  Type: 'TYPE',
  Description: 'DESCRIPTION',
  Reclaimable: 'RECLAIMABLE',
  Shared: 'SHARED',
  InUse: 'IN USE',
  Size: 'SIZE',
  CreatedAt: 'CREATED AT',
  LastUsedAt: 'LAST ACCESSED',
  UsageCount: 'USAGE',
};

export const builderDf: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
      --filter filter    Only records with id=, type=, description=, parent=, inuse=, shared= or private=
      --format string    Format output: table, table TEMPLATE, json, or a Go template for each line
      --verbose          Everything of each record
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    const records = (await client.builder.cache()).filter(matcher(collectFilters(flags))).sort((a, b) => b.Size - a.Size);
    const format = flags.string('format');
    if (format === '' && flags.bool('verbose')) context.print(records.map((record) => `${verboseText(record)}\n`).join(''));
    else context.print(formatRows({ format, defaultTable: TABLE, headers }, records.map(row)));
    if (format === '') context.print(totals(records));
    return 0;
  },
};

const TABLE = '{{.ID}}\t{{.Type}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastUsedAt}}\t{{.Description}}';
const DESCRIPTION_WIDTH = 60;

function row(record: BuildCacheRecord): Struct {
  return new Struct(
    '*formatter.buildCacheContext',
    {
      CreatedAt: since(record.CreatedAt),
      Description: ellipsis(tameText(record.Description ?? ''), DESCRIPTION_WIDTH),
      ID: record.ID,
      InUse: String(record.InUse),
      LastUsedAt: since(record.LastUsedAt ?? record.CreatedAt),
      Reclaimable: String(isReclaimable(record)),
      Shared: String(record.Shared),
      // As buildx marks what is part of something else, too.
      Size: humanSize(record.Size, 3) + (record.Shared ? '*' : ''),
      Type: record.Type,
      UsageCount: String(record.UsageCount ?? 0),
    },
    { sorted: true },
  );
}

function isReclaimable({ InUse, Shared }: BuildCacheRecord): boolean {
  return !InUse && !Shared;
}

function since(time: string | null | undefined): string {
  return time ? ago(Date.parse(time) / 1000) : '';
}

function verboseText(record: BuildCacheRecord): string {
  const time = (text: string | null | undefined): string => (text ? rfc3339(Date.parse(text) / 1000) : '');
  const lines: readonly (readonly [string, string])[] = [
    ['ID', record.ID],
    ['Parents', (record.Parents ?? []).join(', ')],
    ['Created at', time(record.CreatedAt)],
    ['Reclaimable', String(isReclaimable(record))],
    ['Shared', String(record.Shared)],
    ['Size', humanSize(record.Size)],
    ['Description', tameText(record.Description ?? '')],
    ['Usage count', String(record.UsageCount ?? 0)],
    ['Last used', time(record.LastUsedAt)],
    ['Type', record.Type],
  ];
  return alignColumns(
    lines
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name}:\t${value}\n`)
      .join(''),
  );
}

function totals(records: readonly BuildCacheRecord[]): string {
  const sum = (counts: (record: BuildCacheRecord) => boolean): string =>
    humanSize(records.reduce((total, record) => total + (counts(record) ? record.Size : 0), 0));
  const lines = [
    ['Shared', sum(({ Shared }) => Shared)],
    ['Private', sum(({ Shared }) => !Shared)],
    ['Reclaimable', sum(isReclaimable)],
    ['Total', sum(() => true)],
  ];
  return alignColumns(lines.map(([name, size]) => `${name}:\t${size}\n`).join(''));
}

const TESTS: Readonly<Record<string, (record: BuildCacheRecord, value: string) => boolean>> = {
  id: ({ ID }, value) => ID.startsWith(value),
  type: ({ Type }, value) => Type === value,
  description: ({ Description = '' }, value) => Description.includes(value),
  parent: ({ Parents }, value) => (Parents ?? []).some((parent) => parent.startsWith(value)),
  inuse: ({ InUse }, value) => InUse === (value !== 'false'),
  shared: ({ Shared }, value) => Shared === (value !== 'false'),
  private: ({ Shared }, value) => Shared === (value === 'false'),
};

/** Values of one key are alternatives, keys go together. */
function matcher(filters: Readonly<Record<string, readonly string[]>>): (record: BuildCacheRecord) => boolean {
  const tests = Object.entries(filters).map(([key, values]) => {
    const test = TESTS[key];
    if (test === undefined) throw new CliError(`there is no filter ${key}: use ${Object.keys(TESTS).join(', ')}`);
    return (record: BuildCacheRecord): boolean => values.some((value) => test(record, value));
  });
  return (record) => tests.every((test) => test(record));
}
