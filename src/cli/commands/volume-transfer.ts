/** `volume export` and `volume import`, which Docker has not: a volume's content as a tar archive, streamed. */
import { readArchive, refuseTerminal, writeArchive } from '../archive-files.ts';
import { type Command, oneArgument } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const volumeExport: Command = {
  usage: '[OPTIONS] VOLUME',
  flags: defineFlags('-o, --output string   Write to a file, instead of STDOUT'),
  args: oneArgument,
  async run(context) {
    const path = context.flags.string('output');
    refuseTerminal(context, path);
    await writeArchive(context, await context.client.volumes.exportTar(context.args[0] ?? ''), path);
    return 0;
  },
};

export const volumeImport: Command = {
  usage: '[OPTIONS] VOLUME',
  flags: defineFlags(`
  -i, --input string   Read from tar archive file, instead of STDIN
      --merge          Add to a volume that is not empty; files of the archive replace those of the same name
`),
  args: oneArgument,
  async run(context) {
    const tar = await readArchive(context, context.flags.string('input'), 'import');
    await context.client.volumes.importTar(context.args[0] ?? '', tar, context.flags.bool('merge'));
    return 0;
  },
};
