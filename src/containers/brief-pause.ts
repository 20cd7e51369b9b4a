/**
 * A pause that the engine makes for its own work (commit), not a person. It is noted before it begins: a daemon that dies meanwhile would leave the container standing still, and the
 * next one could not tell it from one that somebody wants paused.
 */
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText } from '../base/errors.ts';
import { failpoint } from '../base/failpoints.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { isPaused, pauseContainer, unpauseContainer } from './pause-container.ts';

const note = ({ paths }: Container): string => join(paths.directory, 'brief-pause');

export async function pauseBriefly(context: ContainerContext, container: Container): Promise<void> {
  await writeFile(note(container), '');
  try {
    await pauseContainer(context, container);
  } catch (error) {
    await rm(note(container), { force: true });
    throw error;
  }
  failpoint('commit.paused');
}

/** It may have ended, or somebody else have unpaused it. */
export async function endBriefPause(context: ContainerContext, container: Container): Promise<void> {
  try {
    if (isPaused(container)) await unpauseContainer(context, container);
    await rm(note(container), { force: true });
  } catch (error) {
    context.logger.warn({ container: container.id, error: errorText(error) }, 'cannot unpause a container after its commit');
  }
}

/** Of a container that was found running by a new daemon. */
export async function endFormerBriefPause(context: ContainerContext, container: Container): Promise<void> {
  if (existsSync(note(container))) await endBriefPause(context, container);
}
