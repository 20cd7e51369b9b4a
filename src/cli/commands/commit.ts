import { errorText } from '../../base/errors.ts';
import { canonicalName, type ImageReference, parseReference } from '../../oci/reference.ts';
import { CliError } from '../cli-error.ts';
import type { Command } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const commit: Command = {
  usage: '[OPTIONS] CONTAINER [REPOSITORY[:TAG]]',
  flags: defineFlags(`
  -a, --author string    Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
  -c, --change list      Apply Dockerfile instruction to the created image
  -m, --message string   Commit message
      --no-pause         Disable pausing container during commit
  -p, !--pause           Pause container during commit (default true)
`),
  args: { min: 1, max: 2 },
  async run(context) {
    const { flags, client } = context;
    const [name = '', target] = context.args;
    const reference = target === undefined ? null : parseTarget(target);
    const id = await client.containers.commit(name, {
      repository: reference === null ? '' : canonicalName(reference),
      tag: reference?.tag ?? '',
      author: flags.string('author'),
      comment: flags.string('message'),
      pause: flags.bool('pause') && !flags.bool('no-pause'),
      changes: flags.list('change'),
    });
    context.print(`${id}\n`);
    return 0;
  },
};

function parseTarget(target: string): ImageReference {
  try {
    const reference = parseReference(target);
    if (reference.digest !== null) throw new CliError('refusing to create a tag with a digest reference');
    return reference;
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(errorText(error), 1, { cause: error });
  }
}
