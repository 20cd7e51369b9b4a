import { readArchive } from '../archive-files.ts';
import { type Command, noArguments } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { showProgress } from '../progress/show-progress.ts';

export const imageLoad: Command = {
  usage: '[OPTIONS]',
  flags: defineFlags(`
  -i, --input string      Read from tar archive file, instead of STDIN
      --platform string   Load only the given platform variant (os[/arch[/variant]])
  -q, --quiet             Suppress the load output
`),
  args: noArguments,
  async run(context) {
    const { flags, client, io } = context;
    const tar = await readArchive(context, flags.string('input'), 'load');
    const quiet = flags.bool('quiet') || io.stdout.isTTY !== true;
    await showProgress(await client.images.load(tar, { quiet, platform: flags.string('platform') }), io.stdout);
    return 0;
  },
};
