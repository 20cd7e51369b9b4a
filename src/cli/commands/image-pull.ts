import { canonicalName, canonicalReference } from '../../oci/reference.ts';
import { type Command, oneArgument } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { pullImage } from '../image/pull-image.ts';
import { wantedPlatform } from '../parse/platform-option.ts';

export const imagePull: Command = {
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  flags: defineFlags(`
  -a, --all-tags          Download all tagged images in the repository
      --platform string   Set platform if server is multi-platform capable
  -q, --quiet             Suppress verbose output
`),
  args: oneArgument,
  async run(context) {
    const { flags, io } = context;
    const allTags = flags.bool('all-tags');
    const reference = await pullImage(context, context.args[0] ?? '', {
      platform: wantedPlatform(flags, io.env),
      allTags,
      quiet: flags.bool('quiet'),
      tellsTag: true,
      output: () => io.stdout,
    });
    context.print(`${allTags ? canonicalName(reference) : canonicalReference(reference)}\n`);
    return 0;
  },
};
