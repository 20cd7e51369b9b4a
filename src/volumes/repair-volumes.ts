/** At a start: what a crash left between records and directories is put right, before anybody asks for a volume. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errorText } from '../base/errors.ts';
import { readMountPoints } from '../linux/mount-table.ts';
import { type LocalPaths, STAGED, STAGED_INSIDE } from './local-paths.ts';
import { pathExists } from './path-exists.ts';
import { finishRename } from './rename-volume.ts';
import type { VolumeContext } from './volume-context.ts';
import type { VolumeRecord } from './volume-records.ts';

type RepairContext = Pick<VolumeContext, 'paths' | 'records' | 'threads' | 'logger'>;

export async function makeVolumesRoot(paths: LocalPaths): Promise<void> {
  await mkdir(paths.root, { recursive: true });
  await chmod(paths.root, 0o701);
}

export async function repairVolumes(context: RepairContext): Promise<void> {
  for (const record of context.records.all()) if (record.renamingTo !== null) await settleRename(context, record, record.renamingTo);
  // What is mounted is there, and is not looked at: its server may be gone.
  const mounted = new Set(await readMountPoints());
  for (const record of context.records.all())
    if (record.driver === 'local' && !mounted.has(context.paths.data(record.name))) await requireDirectory(context, record);
  const leftovers: string[] = [];
  for (const entry of await readdir(context.paths.root, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) leftovers.push(entry.name);
    else if (entry.isDirectory()) await dropStaged(context, entry.name);
    if (!entry.name.startsWith('.') && context.records.get(entry.name) === null) await adoptDirectory(context, entry.name);
  }
  if (leftovers.length > 0) removeLater(context, context.paths.root, await setAside(context.paths.root, leftovers));
}

/** The directory says how far it came. */
async function settleRename(context: RepairContext, record: VolumeRecord, newName: string): Promise<void> {
  const moved = !(await pathExists(context.paths.directory(record.name))) && (await pathExists(context.paths.directory(newName)));
  if (moved) await finishRename(context, record, newName);
  else await context.records.announceRename(record, null);
}

async function requireDirectory(context: RepairContext, { name }: VolumeRecord): Promise<void> {
  const { paths, logger } = context;
  if (await pathExists(paths.data(name))) return;
  if (!(await pathExists(paths.directory(name)))) {
    // A creation that had come to its record; a removal that had not.
    for (const place of [paths.created(name), paths.removed(name)]) {
      if (!(await pathExists(join(place, '_data')))) continue;
      await rename(place, paths.directory(name));
      return;
    }
  }
  logger.warn({ volume: name, path: paths.data(name) }, 'the directory of a volume was missing: made anew, empty');
  await mkdir(paths.data(name), { recursive: true });
  await chmod(paths.directory(name), 0o701);
  await chmod(paths.data(name), 0o755);
}

/** Content that was on its way. */
async function dropStaged(context: RepairContext, name: string): Promise<void> {
  const directory = context.paths.directory(name);
  const staged = (await readdir(directory)).filter((each) => each.startsWith(STAGED) || each.startsWith(STAGED_INSIDE));
  if (staged.length > 0) removeLater(context, directory, staged);
}

/** A directory without a record is somebody's data (a database restored from an older backup, say): it becomes a volume, as in Docker. */
export async function adoptDirectory(context: RepairContext, name: string): Promise<void> {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) return;
  const stats = await stat(context.paths.data(name)).catch(() => null);
  if (stats?.isDirectory() !== true) return;
  context.logger.warn({ volume: name }, 'a directory of a volume without a record: adopted as a local volume');
  await context.records.add({ name, driver: 'local', options: {}, labels: {}, createdAt: stats.birthtime, renamingTo: null });
}

/** Under names that nobody will use again: a volume of the same name may be created while the removal is still going on. */
async function setAside(root: string, names: readonly string[]): Promise<readonly string[]> {
  const aside = names.map(() => `.leftover-${randomBytes(8).toString('hex')}`);
  await Promise.all(names.map((name, index) => rename(join(root, name), join(root, aside[index] ?? ''))));
  return aside;
}

/** Trees may be large, and nobody waits for them. */
function removeLater(context: RepairContext, parent: string, names: readonly string[]): void {
  context.threads.trees.run({ kind: 'remove', parent, names }).catch((thrown) => {
    context.logger.warn({ path: basename(parent), names, error: errorText(thrown) }, 'leftovers of volumes could not be removed');
  });
}
