/** `pull`, and the pull inside of `run`. */
import { canonicalName, type ImageReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { CliError } from '../cli-error.ts';
import type { CliOutput } from '../cli-io.ts';
import type { CommandContext } from '../command.ts';
import { credentialsFor } from '../config/credentials.ts';
import { showProgress } from '../progress/show-progress.ts';

export interface PullOptions {
  readonly platform: string;
  readonly allTags: boolean;
  readonly quiet: boolean;
  /** `pull` says which tag it takes; `run` has named the image already. */
  readonly tellsTag: boolean;
  readonly output: () => CliOutput;
}

export async function pullImage(context: CommandContext, name: string, options: PullOptions): Promise<ImageReference> {
  const given = parseReference(name);
  if (options.allTags && (given.tag !== null || given.digest !== null)) throw new CliError("tag can't be used with --all-tags/-a");
  const reference = options.allTags ? given : withDefaultTag(given);
  if (!options.allTags && given.tag === null && given.digest === null && options.tellsTag && !options.quiet)
    options.output().write(`Using default tag: ${reference.tag}\n`);
  const progress = await context.client.images.pull(
    canonicalName(reference),
    options.allTags ? '' : (reference.digest ?? reference.tag ?? ''),
    {
      platform: options.platform,
      credentials: await credentialsFor(context, reference.domain),
    },
  );
  await showProgress(progress, options.quiet ? null : options.output(), {
    onInterrupt: 'Pull cancelled. What has come is kept: the next pull goes on from there.',
  });
  return reference;
}
