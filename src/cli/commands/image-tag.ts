import { errorText } from '../../base/errors.ts';
import { canonicalName, type ImageReference, parseReference } from '../../oci/reference.ts';
import { CliError } from '../cli-error.ts';
import type { Command } from '../command.ts';

export const imageTag: Command = {
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  flags: [],
  args: { min: 2, max: 2 },
  async run(context) {
    const [source = '', target = ''] = context.args;
    const reference = parseTarget(target);
    if (reference.digest !== null) throw new CliError('refusing to create a tag with a digest reference');
    await context.client.images.tag(source, canonicalName(reference), reference.tag ?? 'latest');
    return 0;
  },
};

function parseTarget(target: string): ImageReference {
  try {
    return parseReference(target);
  } catch (error) {
    throw new CliError(`Error parsing reference: "${target}" is not a valid repository/tag: ${errorText(error)}`, 1, { cause: error });
  }
}
