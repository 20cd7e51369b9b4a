/** What tools that look for buildx ask first: there is one builder, the daemon's own. */
import { versionName } from '../build-name.ts';
import { CliError } from '../cli-error.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { formatRows } from '../format/row-format.ts';
import { alignColumns } from '../format/tab-writer.ts';
import { Struct } from '../template/go-value.ts';

const NAME = 'default';

export const builderLs: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags('--format string   Format output: table, table TEMPLATE, json, or a Go template for each line'),
  args: noArguments,
  async run(context) {
    const { Version, Os, Arch } = await context.client.system.version();
    const row = new Struct(
      '*formatter.builderContext',
      { DriverEndpoint: 'gantry', Name: `${NAME}*`, Platforms: `${Os}/${Arch}`, Status: 'running', Version: `v${Version}` },
      { sorted: true },
    );
    const headers = { Name: 'NAME/NODE', DriverEndpoint: 'DRIVER/ENDPOINT', Status: 'STATUS', Version: 'VERSION', Platforms: 'PLATFORMS' };
    const defaultTable = '{{.Name}}\t{{.DriverEndpoint}}\t{{.Status}}\t{{.Version}}\t{{.Platforms}}';
    context.print(formatRows({ format: context.flags.string('format'), defaultTable, headers }, [row]));
    return 0;
  },
};

export const builderInspect: Command = {
  usage: '[NAME]',
  flags: defineFlags('--bootstrap   It runs in any case'),
  args: { min: 0, max: 1 },
  async run(context) {
    const name = context.args[0] ?? NAME;
    if (name !== NAME) throw new CliError(`no builder ${JSON.stringify(name)} found: there is one, ${NAME}`);
    const { Version, Os, Arch } = await context.client.system.version();
    const lines = [
      ['Name', NAME],
      ['Driver', 'gantry'],
      ['Status', 'running'],
      ['Endpoint', context.address],
      ['Version', `v${Version}`],
      ['Platforms', `${Os}/${Arch}`],
    ];
    context.print(alignColumns(lines.map(([title, value]) => `${title}:\t${value}\n`).join('')));
    return 0;
  },
};

export const builderVersion: Command = {
  usage: '',
  flags: [],
  args: noArguments,
  async run(context) {
    context.print(`gantry ${versionName} ${context.build}`.trimEnd());
    context.print('\n');
    return 0;
  },
};
