import type { VolumeSummary } from '../../client/types.ts';
import { CliError } from '../cli-error.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { formatRows } from '../format/row-format.ts';
import { humanSize } from '../format/size-text.ts';
import { collectFilters } from '../parse/filter-option.ts';
import { Struct, type Value } from '../template/go-value.ts';
import { joinLabels } from '../views/container-row.ts';
import { compareNaturally } from '../views/natural-order.ts';

const headers = {
  Name: 'VOLUME NAME', Driver: 'DRIVER', Scope: 'SCOPE', Mountpoint: 'MOUNTPOINT', Labels: 'LABELS', Links: 'LINKS', Size: 'SIZE', Availability: 'AVAILABILITY', Group: 'GROUP', Status: 'STATUS',
}; // biome-ignore format: a table

export const volumeLs: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
      --cluster         Display only cluster volumes
  -f, --filter filter   Provide filter values (e.g. "dangling=true")
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
  -q, --quiet           Only display volume names
  -s, --size            Display sizes and how many containers use each volume (beyond Docker)
`),
  args: noArguments,
  async run(context) {
    const { flags, client } = context;
    if (flags.bool('cluster'))
      throw new CliError('--cluster is not supported: cluster volumes belong to swarm mode, which Gantry does not have');
    const format = flags.string('format');
    const size = flags.bool('size') || /\.(Size|Links)\b/.test(format);
    const { volumes, warnings } = await client.volumes.list(collectFilters(flags), { size });
    for (const warning of warnings) context.printError(`WARNING: ${warning}\n`);
    const rows = [...volumes].sort((a, b) => compareNaturally(a.Name, b.Name)).map(volumeRow);
    const isQuiet = flags.bool('quiet') && (format === '' || format === 'table');
    const defaultTable = size ? '{{.Driver}}\t{{.Name}}\t{{.Links}}\t{{.Size}}' : '{{.Driver}}\t{{.Name}}';
    context.print(formatRows({ format: isQuiet ? '{{.Name}}' : format, defaultTable, headers }, rows));
    return 0;
  },
};

export function volumeRow(volume: VolumeSummary): Struct {
  return new Struct(
    '*formatter.volumeContext',
    {
      Availability: 'N/A',
      Driver: volume.Driver,
      Group: 'N/A',
      Labels: joinLabels(volume.Labels ?? {}),
      Links: volume.UsageData ? String(volume.UsageData.RefCount) : 'N/A',
      Mountpoint: volume.Mountpoint ?? '',
      Name: volume.Name,
      Scope: volume.Scope ?? '',
      Size: volume.UsageData && volume.UsageData.Size !== -1 ? humanSize(volume.UsageData.Size) : 'N/A',
      Status: 'N/A',
      Label: (name: Value) => volume.Labels?.[String(name)] ?? '',
    },
    { sorted: true },
  );
}
