import { refuseTerminal, writeArchive } from '../archive-files.ts';
import { type Command, someArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const imageSave: Command = {
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: defineFlags(`
  -o, --output string     Write to a file, instead of STDOUT
      --platform string   Save only the given platform variant (os[/arch[/variant]])
`),
  args: someArguments,
  async run(context) {
    const { flags, client } = context;
    refuseTerminal(context, flags.string('output'));
    await writeArchive(context, await client.images.save(context.args, flags.string('platform')), flags.string('output'));
    return 0;
  },
};
