import type { NetworkSummary } from '../../client/types.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { shortId } from '../format/ellipsis.ts';
import { formatRows } from '../format/row-format.ts';
import { collectFilters } from '../parse/filter-option.ts';
import { Struct, type Value } from '../template/go-value.ts';
import { joinLabels } from '../views/container-row.ts';
import { compareNaturally } from '../views/natural-order.ts';

const headers = {
  ID: 'NETWORK ID', Name: 'NAME', Driver: 'DRIVER', Scope: 'SCOPE', IPv4: 'IPV4', IPv6: 'IPV6', Internal: 'INTERNAL', Labels: 'LABELS', CreatedAt: 'CREATED AT',
}; // biome-ignore format: a table

export const networkLs: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -f, --filter filter   Provide filter values (e.g. "driver=bridge")
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
      --no-trunc        Do not truncate the output
  -q, --quiet           Only display network IDs
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    const networks = await client.networks.list(collectFilters(flags));
    const rows = [...networks]
      .sort((a, b) => compareNaturally(a.Name, b.Name))
      .map((network) => networkRow(network, !flags.bool('no-trunc')));
    const format = flags.string('format');
    const isQuiet = flags.bool('quiet') && (format === '' || format === 'table');
    context.print(
      formatRows({ format: isQuiet ? '{{.ID}}' : format, defaultTable: '{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}', headers }, rows),
    );
    return 0;
  },
};

function networkRow(network: NetworkSummary, truncate: boolean): Struct {
  return new Struct(
    '*formatter.networkContext',
    {
      CreatedAt: createdText(network.Created),
      Driver: network.Driver,
      ID: truncate ? shortId(network.Id) : network.Id,
      IPv4: String(network.EnableIPv4 ?? true),
      IPv6: String(network.EnableIPv6 ?? false),
      Internal: String(network.Internal ?? false),
      Labels: joinLabels(network.Labels ?? {}),
      Name: network.Name,
      Scope: network.Scope,
      Label: (name: Value) => network.Labels?.[String(name)] ?? '',
    },
    { sorted: true },
  );
}

/** Go's text of a time keeps the fraction and names the zone twice. */
function createdText(rfc3339: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)(Z|([-+]\d\d):?(\d\d))$/.exec(rfc3339);
  if (match === null) return rfc3339;
  const [, day, time, zone, hours = '+00', minutes = '00'] = match;
  return zone === 'Z' ? `${day} ${time} +0000 UTC` : `${day} ${time} ${hours}${minutes} ${hours}${minutes}`;
}
