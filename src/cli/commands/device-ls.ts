/** `device ls`, which Docker has not: what can be given to containers, and who has it. */
import type { DeviceSummary } from '../../client/device-api.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { ellipsis } from '../format/ellipsis.ts';
import { formatRows } from '../format/row-format.ts';
import { binarySize } from '../format/size-text.ts';
import { Struct } from '../template/go-value.ts';
import { compareNaturally } from '../views/natural-order.ts';

const headers = {
  Name: 'NAME', Model: 'MODEL', Memory: 'MEMORY', Source: 'SOURCE', HeldBy: 'HELD BY', UUID: 'UUID', Maker: 'MAKER', Problem: 'PROBLEM',
}; // biome-ignore format: a table

const MODEL_WIDTH = 32;
const HOLDERS_WIDTH = 48;

export const deviceLs: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -a, --all             Show every name of a device, not only its first
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
      --no-trunc        Do not truncate the output
  -q, --quiet           Only display names
`),
  args: noArguments,
  async run(context) {
    const { client, flags } = context;
    const { Devices: devices, Problems: problems } = await client.devices.list();
    const sorted = [...devices].sort((a, b) => compareNaturally(a.Name, b.Name));
    const shown = flags.bool('all') ? sorted : firstNames(sorted);
    const rows = shown.map((device) => deviceRow(device, !flags.bool('no-trunc')));
    const format = flags.string('format');
    const isQuiet = flags.bool('quiet') && (format === '' || format === 'table');
    const defaultTable = '{{.Name}}\t{{.Model}}\t{{.Memory}}\t{{.Source}}\t{{.HeldBy}}';
    context.print(formatRows({ format: isQuiet ? '{{.Name}}' : format, defaultTable, headers }, rows));
    for (const { Source, Text } of problems) context.printError(`WARNING: ${Source}: ${Text}\n`);
    for (const { Name, Problem } of shown) if (Problem !== '') context.printError(`WARNING: ${Name}: ${Problem}\n`);
    return 0;
  },
};

/** A GPU is known by its index and by its UUID: one line is enough for both. */
function firstNames(devices: readonly DeviceSummary[]): readonly DeviceSummary[] {
  const seen = new Set<string>();
  return devices.filter(({ Name, Source, UUID }) => {
    const identity = UUID === '' ? Name : `${Name.split('=', 1)[0]} ${Source} ${UUID}`;
    return !seen.has(identity) && seen.add(identity);
  });
}

function deviceRow(device: DeviceSummary, truncate: boolean): Struct {
  const holders = device.HeldBy.map(({ Title, Exclusive }) => `${truncate ? shortTitle(Title) : Title}${Exclusive ? ' (exclusive)' : ''}`);
  return new Struct(
    'deviceContext',
    {
      HeldBy: truncate ? ellipsis(holders.join(', '), HOLDERS_WIDTH) : holders.join(', '),
      Maker: device.Maker,
      Memory: device.Memory === 0 ? '' : binarySize(device.Memory),
      Model: truncate ? ellipsis(device.Model, MODEL_WIDTH) : device.Model,
      Name: device.Name,
      Problem: device.Problem,
      Source: device.Source,
      UUID: device.UUID,
    },
    { sorted: true },
  );
}

/** `container web (0123456789ab)` → `web` */
function shortTitle(title: string): string {
  return title.replace(/^container (.+) \([\da-f]+\)$/, '$1');
}
