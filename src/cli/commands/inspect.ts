import { ApiError } from '../../client/api-client.ts';
import { CliError } from '../cli-error.ts';
import { type Command, type CommandContext, someArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { showDifferences } from '../inspect/show-differences.ts';
import { showObjects } from '../inspect/show-objects.ts';

type Fetch = (context: CommandContext, name: string) => Promise<string>;

/** In the order in which a name is looked for. */
const fetchers: Readonly<Record<string, Fetch>> = {
  container: ({ client, flags }, name) => client.containers.inspectRaw(name, { size: flags.bool('size') }),
  image: ({ client }, name) => client.images.inspectRaw(name),
  network: ({ client }, name) => client.networks.inspectRaw(name),
  volume: ({ client }, name) => client.volumes.inspectRaw(name),
};

const foreignTypes = ['config', 'node', 'plugin', 'secret', 'service', 'task'];

export const inspect: Command = {
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  flags: defineFlags(`
      --diff            Show what differs between two objects (beyond Docker)
  -f, --format string   Format output: json, or a Go template for each object
  -s, --size            Display total file sizes if the type is container
      --type string     Only inspect objects of the given type
`),
  args: someArguments,
  run(context) {
    const type = context.flags.string('type');
    if (context.flags.has('type') && type === '')
      throw new CliError('type is empty: must be one of "container", "image", "network" or "volume"');
    if (foreignTypes.includes(type)) throw new CliError(`--type ${type} is not supported: there are no such objects here`);
    if (type !== '' && !Object.hasOwn(fetchers, type))
      throw new CliError(`unknown type: "${type}": must be one of "container", "image", "network" or "volume"`);
    if (context.flags.bool('size') && type !== '' && type !== 'container') context.printError(`WARNING: --size ignored for ${type}\n`);
    const one = fetchers[type];
    const fetch = one ?? fetchFirst;
    if (context.flags.bool('diff')) return showDifferences(context, (name) => fetch(context, name));
    return showObjects(context, context.args, context.flags.string('format'), (name) => fetch(context, name));
  },
};

async function fetchFirst(context: CommandContext, name: string): Promise<string> {
  for (const fetch of Object.values(fetchers)) {
    try {
      return await fetch(context, name);
    } catch (error) {
      // Only "no such thing" leads to the next kind; a name that a kind can't even read is none of its things either.
      if (!(error instanceof ApiError) || (error.status !== 404 && !/invalid|not a valid/i.test(error.message))) throw error;
    }
  }
  throw new CliError(`Error: No such object: ${name}`);
}
