/** Docker's contexts: which daemon the next commands talk to. */
import { DEFAULT_ADDRESS } from '../../client/address.ts';
import { type Command, noArguments, oneArgument } from '../command.ts';
import { DEFAULT_CONTEXT, listContexts, readContext } from '../config/contexts.ts';
import { currentContext } from '../config/daemon-address.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { ellipsis } from '../format/ellipsis.ts';
import { formatRows } from '../format/row-format.ts';
import { Struct } from '../template/go-value.ts';

const headers = { Name: 'NAME', Description: 'DESCRIPTION', DockerEndpoint: 'DOCKER ENDPOINT', Error: 'ERROR', Current: 'CURRENT' };
const DESCRIPTION_WIDTH = 60;

export const contextLs: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
      --format string   Format output: table, table TEMPLATE, json, or a Go template for each line
  -q, --quiet           Only show context names
`),
  args: noArguments,
  async run(command) {
    const { flags, io, config } = command;
    const current = currentContext(io.env, config);
    const fallback = {
      name: DEFAULT_CONTEXT,
      description: "This machine's Gantry daemon",
      address: io.env.GANTRY_HOST || io.env.DOCKER_HOST || DEFAULT_ADDRESS,
    };
    const rows = [fallback, ...listContexts(config.directory)].map((context) => {
      const isCurrent = context.name === current.name;
      return new Struct(
        '*formatter.clientContextContext',
        {
          Current: isCurrent,
          Description: ellipsis(context.description, DESCRIPTION_WIDTH),
          DockerEndpoint: context.address,
          Error: '',
          Name: context.name,
        },
        { sorted: true },
      );
    });
    const quiet = flags.bool('quiet');
    command.print(
      formatRows(
        {
          format: quiet ? '{{.Name}}' : flags.string('format'),
          defaultTable: '{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}',
          headers,
        },
        rows,
      ),
    );
    return 0;
  },
};

export const contextUse: Command = {
  usage: 'CONTEXT',
  flags: [],
  args: oneArgument,
  async run(command) {
    const { args, io, config } = command;
    const name = args[0] ?? '';
    if (name !== DEFAULT_CONTEXT) readContext(config.directory, name);
    config.update((file) => {
      if (name === DEFAULT_CONTEXT) delete file.currentContext;
      else file.currentContext = name;
    });
    command.print(`${name}\n`);
    const { overriddenBy } = currentContext(io.env, config);
    if (overriddenBy !== null)
      command.printError(
        `Warning: ${overriddenBy} environment variable overrides the active context. To use "${name}", either set the global --context flag, or unset ${overriddenBy} environment variable.\n`,
      );
    else command.printError(`Current context is now "${name}"\n`);
    return 0;
  },
};

export const contextShow: Command = {
  usage: '',
  flags: [],
  args: noArguments,
  async run(command) {
    const { io, config } = command;
    command.print(`${currentContext(io.env, config).name}\n`);
    return 0;
  },
};
