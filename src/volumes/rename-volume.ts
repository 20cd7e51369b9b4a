/** `volume rename`, which Docker does not have. The intention is on the disk before the directory moves; `repair-volumes.ts` finishes what a crash cut off. */
import { rename } from 'node:fs/promises';
import { conflict, invalid } from '../base/errors.ts';
import { explaining, localView, refuseUsed, requireVolume, type VolumeContext } from './volume-context.ts';
import { ANONYMOUS_LABEL, checkVolumeName } from './volume-name.ts';
import type { VolumeRecord } from './volume-records.ts';
import type { VolumeView } from './volumes.ts';

export async function renameVolume(context: VolumeContext, name: string, newName: string): Promise<VolumeView> {
  return await explaining('rename', name, async () => {
    checkVolumeName(newName);
    const record = await context.queue.runBoth([name, newName], () => renameNow(context, name, newName));
    context.emit({ action: 'rename', id: newName, attributes: { driver: 'local', oldName: name } });
    return await localView(context, record);
  });
}

async function renameNow(context: VolumeContext, name: string, newName: string): Promise<VolumeRecord> {
  const record = await requireVolume(context, name);
  if (record.driver !== 'local')
    throw invalid(`volumes of the plugin ${record.driver} can't be renamed: the plugin protocol knows no such thing`);
  if (newName === name) throw invalid('it has that name already');
  if (context.records.get(newName) !== null)
    throw conflict(`there is a volume ${newName} already: choose another name, or remove that one`);
  refuseUsed(context, 'rename', name, ': containers know a volume by its name, so remove them first');
  // One that could not be unmounted when its last user left.
  await context.drivers.local.unmount(record);
  await context.records.announceRename(record, newName);
  try {
    await rename(context.paths.directory(name), context.paths.directory(newName));
  } catch (thrown) {
    await context.records.announceRename(record, null);
    throw thrown;
  }
  return await finishRename(context, record, newName);
}

/** Its directory has the new name already. Whoever named a volume does not want it pruned as an anonymous one. */
export async function finishRename(context: Pick<VolumeContext, 'records'>, record: VolumeRecord, newName: string): Promise<VolumeRecord> {
  const labels = Object.fromEntries(Object.entries(record.labels).filter(([label]) => label !== ANONYMOUS_LABEL));
  const renamed: VolumeRecord = { ...record, name: newName, labels, renamingTo: null };
  await context.records.replace(record.name, renamed);
  return renamed;
}
