/**
 * `volume rm` and `volume prune`. A local volume goes in three steps; a crash after the first brings it back, after the second finishes the job:
 *
 *   rename to .removed-HASH ──▶ no record any more ──▶ its content is removed
 */
import { rename } from 'node:fs/promises';
import { basename } from 'node:path';
import { conflict, EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import { readMountPoints } from '../linux/mount-table.ts';
import { isPlain } from './local-driver.ts';
import { findInPlugins, noSuchVolume, refuseUsed, sizeOf, type VolumeContext } from './volume-context.ts';
import { volumePruneTest } from './volume-filters.ts';
import { ANONYMOUS_LABEL } from './volume-name.ts';
import type { VolumeRecord } from './volume-records.ts';
import type { VolumeFilters } from './volumes.ts';

export function removeVolume(context: VolumeContext, name: string, force: boolean): Promise<void> {
  return context.queue.run(name, async () => {
    const record = context.records.get(name) ?? (await findInPlugins(context, name))?.record ?? null;
    if (record === null && force) return;
    if (record === null) throw noSuchVolume(name);
    refuseUsed(context, 'remove', name);
    if (record.driver === 'local') await removeLocal(context, record);
    else await removeFromPlugin(context, record, force);
    context.emit({ action: 'destroy', id: name, attributes: { driver: record.driver } });
  });
}

async function removeLocal(context: VolumeContext, record: VolumeRecord): Promise<void> {
  const { paths, threads } = context;
  // One that could not be unmounted when its last user left.
  await context.drivers.local.unmount(record);
  await refuseMounts(paths.directory(record.name), record.name);
  const removed = paths.removed(record.name);
  const empty = () => threads.trees.run({ kind: 'remove', parent: paths.root, names: [basename(removed)] });
  await empty();
  await rename(paths.directory(record.name), removed).catch((error) => {
    if (!hasErrnoCode(error, 'ENOENT')) throw error;
  });
  await context.records.remove(record.name);
  // The volume is gone for everybody; the next start tries again.
  await empty().catch((thrown) => {
    context.logger.error(
      { volume: record.name, path: removed, error: errorText(thrown) },
      'the content of a removed volume stays on the disk',
    );
  });
}

/** Somebody's own, in or on the volume: what is mounted there is not ours to remove, and the kernel does not let go of the directories. */
async function refuseMounts(directory: string, name: string): Promise<void> {
  const mounted = (await readMountPoints()).find((point) => point === directory || point.startsWith(`${directory}/`));
  if (mounted !== undefined) throw conflict(`remove ${name}: something is mounted on ${mounted}: unmount it first`);
}

async function removeFromPlugin(context: VolumeContext, record: VolumeRecord, force: boolean): Promise<void> {
  try {
    await (await context.drivers.plugin(record.driver)).remove(record.name);
  } catch (thrown) {
    if (!force)
      throw new EngineError(thrown instanceof EngineError ? thrown.code : 'system', `remove ${record.name}: ${errorText(thrown)}`, {
        cause: thrown,
      });
    context.logger.warn({ volume: record.name, error: errorText(thrown) }, 'a volume was removed by force; its plugin may still have it');
  }
  if (context.records.get(record.name) !== null) await context.records.remove(record.name);
}

/** As Docker: local volumes without options, and only anonymous ones unless all are asked for. */
export async function pruneVolumes(
  context: VolumeContext,
  filters: VolumeFilters,
): Promise<{ readonly removed: readonly string[]; readonly reclaimedBytes: number }> {
  const { all, matches } = volumePruneTest(filters);
  const removed: string[] = [];
  let reclaimedBytes = 0;
  for (const record of context.records.all()) {
    if (!isPlain(record) || !matches(record.labels) || context.usersOf(record.name).length > 0) continue;
    if (!all && !Object.hasOwn(record.labels, ANONYMOUS_LABEL)) continue;
    const sizeBytes = await sizeOf(context, record);
    if (!(await removeUnlessUsed(context, record.name))) continue;
    removed.push(record.name);
    reclaimedBytes += sizeBytes ?? 0;
  }
  context.emit({ action: 'prune', id: '', attributes: { reclaimed: String(reclaimedBytes) } });
  return { removed, reclaimedBytes };
}

/** A container may have come since the look: then the volume stays. */
async function removeUnlessUsed(context: VolumeContext, name: string): Promise<boolean> {
  try {
    await removeVolume(context, name, false);
    return true;
  } catch (thrown) {
    if (thrown instanceof EngineError && (thrown.code === 'conflict' || thrown.code === 'not-found')) return false;
    throw thrown;
  }
}
