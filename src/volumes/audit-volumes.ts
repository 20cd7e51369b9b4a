/**
 * Audits volumes: records against directories, what verbs left half done, and mounts. Volumes are the only part of the engine that mounts anything in the host's
 * mount namespace, so every other mount below the data root or the exec root is looked at here too.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Finding } from '../base/finding.ts';
import { readMountPoints } from '../linux/mount-table.ts';
import { isPlain } from './local-driver.ts';
import { STAGED } from './local-paths.ts';
import { pathExists } from './path-exists.ts';
import { adoptDirectory } from './repair-volumes.ts';
import type { VolumeContext } from './volume-context.ts';
import type { VolumeRecord } from './volume-records.ts';

/** Directories of the engine that an administrator may put on a file system of their own; below them nothing is mounted but volumes. */
export interface MountRoots {
  readonly dataRoot: string;
  readonly execRoot: string;
}

export async function auditVolumes(context: VolumeContext, roots: MountRoots): Promise<readonly Finding[]> {
  return [...(await missingDirectories(context)), ...(await strayEntries(context)), ...(await strayMounts(context, roots))];
}

async function missingDirectories(context: VolumeContext): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  // What is mounted is there, and is not looked at: its server may be gone.
  const mounted = new Set(await readMountPoints());
  for (const record of context.records.all()) {
    if (record.driver !== 'local' || context.queue.isBusy(record.name) || mounted.has(context.paths.data(record.name))) continue;
    if (await pathExists(context.paths.data(record.name))) continue;
    found.push({
      kind: 'directory',
      what: context.paths.data(record.name),
      why: `the content of volume ${record.name} is missing`,
      repair: { does: 'makes it anew, empty', run: () => makeAnew(context, record) },
    });
  }
  return found;
}

function makeAnew({ queue, records, paths }: VolumeContext, { name }: VolumeRecord): Promise<void> {
  return queue.run(name, async () => {
    if (records.get(name) === null || (await pathExists(paths.data(name)))) return;
    await mkdir(paths.data(name), { recursive: true });
    await chmod(paths.directory(name), 0o701);
    await chmod(paths.data(name), 0o755);
  });
}

async function strayEntries(context: VolumeContext): Promise<readonly Finding[]> {
  const { paths, queue, threads } = context;
  const inWork = new Set(queue.busyNames().flatMap((name) => [paths.created(name), paths.removed(name), paths.directory(name)]));
  const found: Finding[] = [];
  for (const entry of await readdir(paths.root, { withFileTypes: true })) {
    const path = join(paths.root, entry.name);
    if (inWork.has(path)) continue;
    if (entry.name.startsWith('.')) {
      // Named so by us, when a volume is made or removed; a removal may go on for long.
      if (!threads.trees.busy) found.push(leftover(context, entry.name, 'nobody is making or removing this volume any more'));
    } else if (context.records.get(entry.name) !== null) found.push(...(await stagedContent(context, entry.name)));
    else if (entry.isDirectory())
      found.push({
        kind: 'directory',
        what: path,
        why: 'no volume of this name is recorded',
        repair: { does: 'makes it a volume again, when it looks like one', run: () => adoptAgain(context, entry.name) },
      });
    else found.push({ kind: 'file', what: path, why: 'it is no volume: remove it by hand', repair: null });
  }
  return found;
}

function adoptAgain(context: VolumeContext, name: string): Promise<void> {
  return context.queue.run(name, async () => {
    if (context.records.get(name) === null) await adoptDirectory(context, name);
  });
}

async function stagedContent(context: VolumeContext, name: string): Promise<readonly Finding[]> {
  if (context.busy.has(name) || context.queue.isBusy(name)) return [];
  const names = await readdir(context.paths.directory(name)).catch(() => []);
  return names
    .filter((each) => each.startsWith(STAGED))
    .map((each) => ({
      kind: 'directory',
      what: join(context.paths.directory(name), each),
      why: `nobody is filling volume ${name} any more`,
      repair: { does: 'removes it', run: () => removeStaged(context, name, each) },
    }));
}

function removeStaged(context: VolumeContext, name: string, staged: string): Promise<void> {
  return context.queue.run(name, async () => {
    if (!context.busy.has(name)) await removeTree(context, context.paths.directory(name), staged);
  });
}

/** Set aside first: a volume of the same name may be made or removed while the tree goes. */
function leftover(context: VolumeContext, name: string, why: string): Finding {
  const { root } = context.paths;
  const run = async () => {
    if (context.threads.trees.busy) return;
    const aside = `.leftover-${randomBytes(8).toString('hex')}`;
    await rename(join(root, name), join(root, aside));
    await removeTree(context, root, aside);
  };
  return { kind: 'directory', what: join(root, name), why, repair: { does: 'removes it', run } };
}

async function removeTree({ threads }: VolumeContext, parent: string, name: string): Promise<void> {
  await threads.trees.run({ kind: 'remove', parent, names: [name] });
}

async function strayMounts(context: VolumeContext, roots: MountRoots): Promise<readonly Finding[]> {
  const points = await readMountPoints();
  const volumes = new Map(context.records.all().map((record) => [context.paths.data(record.name), record]));
  return points.flatMap((point): readonly Finding[] => {
    const record = volumes.get(point);
    if (record !== undefined) return strayVolumeMount(context, record, point);
    if (!isOurPlace(point, roots)) return [];
    return [
      { kind: 'mount', what: point, why: 'nothing of ours is mounted there: if it is not yours either, unmount it by hand', repair: null },
    ];
  });
}

function strayVolumeMount(context: VolumeContext, record: VolumeRecord, point: string): readonly Finding[] {
  // What somebody mounted on a volume without options is theirs.
  if (isPlain(record) || context.mounts.isHeld(record.name) || context.queue.isBusy(record.name)) return [];
  const run = () =>
    context.queue.run(record.name, async () => {
      if (!context.mounts.isHeld(record.name)) await context.drivers.local.unmount(record);
    });
  return [{ kind: 'mount', what: point, why: `no container uses volume ${record.name}`, repair: { does: 'unmounts it', run } }];
}

/** Inside a container's, a layer's or the exec root's directories: the roots themselves, and those of volumes, are anybody's to mount on. */
function isOurPlace(point: string, { dataRoot, execRoot }: MountRoots): boolean {
  return ['containers', 'layers', 'blobs'].some((folder) => point.startsWith(`${dataRoot}/${folder}/`)) || point.startsWith(`${execRoot}/`);
}
