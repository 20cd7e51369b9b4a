/** Content for an empty volume: staged beside it, complete, then let in. The volume's queue is taken for the last step alone. */
import { opendir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errorText } from '../base/errors.ts';
import { layerStackOf } from '../store/layer-stack.ts';
import { type Content, requireVolume, type VolumeContext, withContent } from './volume-context.ts';
import type { VolumeRecord } from './volume-records.ts';
import type { PopulateSource } from './volumes.ts';

/** What an image has at the place that a container mounts the volume on. False: the volume was not empty, or the image has no such directory. */
export async function populateVolume(context: VolumeContext, name: string, source: PopulateSource): Promise<boolean> {
  const record = await requireVolume(context, name);
  const { filling } = context.threads;
  if (isMissing(source)) return false;
  return await withContent(context, record, 'filled from an image', async (content) => {
    if (!(await isEmpty(context, content))) return false;
    return await withStaging(context, content, async () => {
      const found = await filling.run<boolean>({ kind: 'populate', source, staging: content.staging });
      return found && (await settleContent(context, record, content));
    });
  });
}

/** Most volumes are mounted where the image has nothing: a few looks tell, without waking up a thread. */
function isMissing({ base, lowers, path }: PopulateSource): boolean {
  return !path.includes('\0') && layerStackOf(base, lowers).resolve(path) === null;
}

/** What is mounted may be a server that does not answer: a thread of ours waits for it then, not one of Node's. */
export async function isEmpty(context: VolumeContext, content: Content): Promise<boolean> {
  if (!content.plain) return await context.threads.filling.run<boolean>({ kind: 'is-empty', path: content.path });
  const directory = await opendir(content.path, { bufferSize: 1 });
  try {
    return (await directory.read()) === null;
  } finally {
    await directory.close();
  }
}

/** False: it is not empty any more. */
export function settleContent(context: VolumeContext, record: VolumeRecord, content: Content): Promise<boolean> {
  return context.queue.run(record.name, () => {
    // A container that runs has the directory itself, and would go on with the old one.
    const exchange = content.plain && !context.mounts.isHeld(record.name);
    return context.threads.filling.run<boolean>({ kind: 'settle', staging: content.staging, target: content.path, exchange });
  });
}

/** The staging directory goes in any case; what stays behind all the same is removed at the next start. */
export async function withStaging<T>(context: VolumeContext, content: Content, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    const job = { kind: 'remove', parent: dirname(content.staging), names: [basename(content.staging)] } as const;
    await context.threads.filling.run(job).catch((thrown) => {
      context.logger.warn({ path: content.staging, error: errorText(thrown) }, 'a staging directory of a volume could not be removed');
    });
  }
}
