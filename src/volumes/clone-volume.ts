/** `volume clone`, which Docker does not have: always a plain local volume, whatever the source is. The source may be in use: files are copied one by one. */
import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { conflict } from '../base/errors.ts';
import { admitLocal, dropNewDirectory, makeNewDirectory } from './create-volume.ts';
import { STAGED } from './local-paths.ts';
import { explaining, localView, requireVolume, type VolumeContext, withContent } from './volume-context.ts';
import { checkVolumeName } from './volume-name.ts';
import type { VolumeRecord } from './volume-records.ts';
import type { VolumeView } from './volumes.ts';

export async function cloneVolume(
  context: VolumeContext,
  name: string,
  newName: string,
  labels: Readonly<Record<string, string>>,
): Promise<VolumeView> {
  return await explaining('clone', name, async () => {
    checkVolumeName(newName);
    const source = await requireVolume(context, name);
    if (newName === name) throw conflict('a volume and its clone can not have the same name');
    const record: VolumeRecord = { name: newName, driver: 'local', options: {}, labels, createdAt: new Date(), renamingTo: null };
    await withContent(context, source, 'cloned', ({ path }) => context.queue.run(newName, () => cloneNow(context, path, record)));
    context.emit({ action: 'create', id: newName, attributes: { driver: 'local' } });
    return await localView(context, record);
  });
}

async function cloneNow(context: VolumeContext, source: string, record: VolumeRecord): Promise<void> {
  if (context.records.get(record.name) !== null) {
    throw conflict(`there is a volume ${record.name} already: choose another name, or remove that one`);
  }
  const directory = await makeNewDirectory(context, record.name);
  const staging = join(directory, `${STAGED}clone`);
  try {
    await context.threads.trees.run({ kind: 'copy', source, staging });
    await rename(join(staging, 'data'), join(directory, '_data'));
    await context.threads.trees.run({ kind: 'remove', parent: directory, names: [basename(staging)] });
  } catch (thrown) {
    await dropNewDirectory(context, record.name);
    throw thrown;
  }
  await admitLocal(context, record);
}
