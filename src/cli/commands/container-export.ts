import { refuseTerminal, writeArchive } from '../archive-files.ts';
import { type Command, oneArgument } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const containerExport: Command = {
  usage: '[OPTIONS] CONTAINER',
  flags: defineFlags('-o, --output string   Write to a file, instead of STDOUT'),
  args: oneArgument,
  async run(context) {
    const path = context.flags.string('output');
    refuseTerminal(context, path);
    await writeArchive(context, await context.client.containers.exportTar(context.args[0] ?? ''), path);
    return 0;
  },
};
