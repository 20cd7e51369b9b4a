import type { HistoryItem } from '../../client/types.ts';
import { type Command, oneArgument } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { ago, rfc3339 } from '../format/duration-text.ts';
import { ellipsis, shortId } from '../format/ellipsis.ts';
import { formatRows } from '../format/row-format.ts';
import { humanSize } from '../format/size-text.ts';
import { Struct } from '../template/go-value.ts';

const headers = {
  ID: 'IMAGE',
  CreatedSince: 'CREATED',
  CreatedAt: 'CREATED AT',
  CreatedBy: 'CREATED BY',
  Size: 'SIZE',
  Comment: 'COMMENT',
};
const CREATED_BY_WIDTH = 45;

export const imageHistory: Command = {
  usage: '[OPTIONS] IMAGE',
  flags: defineFlags(`
      --format string     Format output: table, table TEMPLATE, json, or a Go template for each line
  -H, --human             Print sizes and dates in human readable format (default true)
      --no-trunc          Don't truncate output
      --platform string   Show history for the given platform (os[/arch[/variant]])
  -q, --quiet             Only show image IDs
`),
  args: oneArgument,
  async run(context) {
    const { flags, client } = context;
    const human = flags.bool('human');
    const items = await client.images.history(context.args[0] ?? '', flags.string('platform'));
    const rows = items.map((item) => historyRow(item, human, !flags.bool('no-trunc')));
    const format = flags.string('format');
    const isQuiet = flags.bool('quiet') && (format === '' || format === 'table');
    const table = `{{.ID}}\t{{.${human ? 'CreatedSince' : 'CreatedAt'}}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`;
    context.print(formatRows({ format: isQuiet ? '{{.ID}}' : format, defaultTable: table, headers }, rows));
    return 0;
  },
};

function historyRow(item: HistoryItem, human: boolean, truncate: boolean): Struct {
  const createdBy = item.CreatedBy.replaceAll('\t', ' ');
  return new Struct(
    '*formatter.historyContext',
    {
      Comment: item.Comment,
      CreatedAt: rfc3339(item.Created),
      CreatedBy: truncate ? ellipsis(createdBy, CREATED_BY_WIDTH) : createdBy,
      CreatedSince: human ? (item.Created <= 0 ? 'N/A' : ago(item.Created)) : rfc3339(item.Created),
      ID: truncate ? shortId(item.Id) : item.Id,
      Size: human ? humanSize(item.Size, 3) : String(item.Size),
    },
    { sorted: true },
  );
}
