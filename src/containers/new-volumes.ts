/**
 * Anonymous volumes of a container that is being created. Nobody but the container's record knows what they are for, and the record comes last: until it is there their names are
 * noted in the container's directory, so that a boot after a crash removes them with it. Named volumes stay, as they do when a creation fails in Docker.
 */
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import type { ContainerContext } from './container-context.ts';

const notes = (directory: string): string => join(directory, 'new-volumes');

/** Before the volume exists. */
export async function noteNewVolume(directory: string, name: string): Promise<void> {
  await appendFile(notes(directory), `${name}\n`);
}

/** Of a directory that no record knows. What somebody uses by now stays. */
export async function removeNotedVolumes({ volumes, logger }: ContainerContext, directory: string): Promise<void> {
  for (const name of await notedVolumes(directory)) {
    try {
      await volumes.remove(name, { force: true });
    } catch (error) {
      if (error instanceof EngineError && error.code === 'conflict') continue;
      logger.warn({ volume: name, error: errorText(error) }, 'cannot remove the volume of a container that was not created');
    }
  }
}

/** A line that was cut off by the crash belongs to a volume that was not created yet. */
async function notedVolumes(directory: string): Promise<readonly string[]> {
  try {
    const text = await readFile(notes(directory), 'utf8');
    return text.split('\n').slice(0, -1);
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT')) return [];
    throw error;
  }
}
