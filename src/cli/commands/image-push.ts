import { canonicalName, canonicalReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { CliError } from '../cli-error.ts';
import { type Command, oneArgument } from '../command.ts';
import { credentialsFor } from '../config/credentials.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { parsePlatformOption } from '../parse/platform-option.ts';
import { showProgress } from '../progress/show-progress.ts';

export const imagePush: Command = {
  usage: '[OPTIONS] NAME[:TAG]',
  flags: defineFlags(`
  -a, --all-tags          Push all tags of an image to the repository
      --platform string   Push only the given platform variant (os[/arch[/variant]])
  -q, --quiet             Suppress verbose output
`),
  args: oneArgument,
  async run(context) {
    const { flags, client, io } = context;
    const given = parseReference(context.args[0] ?? '');
    const allTags = flags.bool('all-tags');
    if (given.digest !== null) throw new CliError('cannot push a digest reference');
    if (allTags && given.tag !== null) throw new CliError("tag can't be used with --all-tags/-a");
    const reference = allTags ? given : withDefaultTag(given);
    const quiet = flags.bool('quiet');
    if (!allTags && given.tag === null && !quiet) context.print(`Using default tag: ${reference.tag}\n`);
    const progress = await client.images.push(canonicalName(reference), reference.tag ?? '', {
      platform: parsePlatformOption(flags.string('platform')),
      credentials: await credentialsFor(context, reference.domain),
    });
    await showProgress(progress, quiet ? null : io.stdout, {
      onInterrupt: 'Push cancelled. Layers that have arrived stay in the registry: the next push skips them.',
    });
    if (quiet) context.print(`${allTags ? canonicalName(reference) : canonicalReference(reference)}\n`);
    return 0;
  },
};
