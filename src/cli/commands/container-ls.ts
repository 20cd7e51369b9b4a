import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { formatRows } from '../format/row-format.ts';
import { collectFilters } from '../parse/filter-option.ts';
import { containerHeaders, containerRaw, containerRow, containerTable } from '../views/container-row.ts';

export const containerLs: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -a, --all             Show all containers (default shows just running)
  -f, --filter filter   Filter output based on conditions provided
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
  -n, --last int        Show n last created containers (includes all states) (default -1)
  -l, --latest          Show the latest created container (includes all states)
      --no-trunc        Don't truncate output
  -q, --quiet           Only display container IDs
  -s, --size            Display total file sizes
`),
  args: noArguments,
  async run(context) {
    const { flags, client, config } = context;
    const quiet = flags.bool('quiet');
    const format = flags.string('format') || (config.file.psFormat ?? '');
    const last = flags.bool('latest') && !flags.has('last') ? 1 : flags.int('last');
    // Sizes cost the daemon a walk over every file: they are asked for only when they are shown.
    const size = flags.bool('size') || /\.Size\b|json \.(?!\w)/.test(format);
    const containers = await client.containers.list({
      all: flags.bool('all') || last > 0,
      size,
      filters: collectFilters(flags),
      ...(last > 0 ? { limit: last } : {}),
    });
    const truncate = !flags.bool('no-trunc');
    const rows = containers.map((container) => containerRow(container, truncate));
    const table = flags.bool('size') ? `${containerTable}\t{{.Size}}` : containerTable;
    if (quiet && flags.string('format') !== '')
      context.printError('WARNING: Ignoring custom format, because both --format and --quiet are set.\n');
    if (quiet) context.print(formatRows({ format: '{{.ID}}', defaultTable: '', headers: containerHeaders }, rows));
    else
      context.print(
        formatRows(
          {
            format,
            defaultTable: table,
            headers: containerHeaders,
            raw: flags.bool('size') ? `${containerRaw}size: {{.Size}}\n` : containerRaw,
          },
          rows,
        ),
      );
    return 0;
  },
};
