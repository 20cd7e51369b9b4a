/**
 * For a start: what the container's mounts are now. Volumes are mounted on the host, missing bind sources made or refused, owners looked at, images found by
 * their layers. `releaseMounts` undoes it, after a start that failed and at the end of every run.
 */
import { closeSync, fstatSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { EngineError, invalid } from '../base/errors.ts';
import { O_PATH } from '../linux/file-calls.ts';
import { type MountOfPath, mountOfPath } from '../linux/mount-of-path.ts';
import { openInRoot } from '../linux/path-in-root.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import type { ContainerImageMount, ContainerVolume } from './container-mounts.ts';
import { mountVolumes, unmountVolumes } from './container-volumes.ts';
import { parseIdmap, specMappings } from './mapped-owners.ts';
import type { RequestedBind } from './mounts.ts';
import type { BindToMake, LayersToMake, MountToMake } from './spec-mounts.ts';

export async function prepareMounts(context: ContainerContext, container: Container): Promise<readonly MountToMake[]> {
  const paths = await mountVolumes(context, container);
  try {
    const made: MountToMake[] = [];
    for (const mount of container.record.mounts) {
      if (mount.kind === 'bind') made.push(await prepareBind(context, mount));
      else if (mount.kind === 'volume') made.push(await volumeBind(mount, paths.get(mount.destination) ?? mount.source));
      else if (mount.kind === 'image') made.push(await imageLayers(context, container, mount));
      else made.push(mount);
    }
    return made;
  } catch (error) {
    await unmountVolumes(context, container);
    throw error;
  }
}

/** `prepared` settled or not: what it still mounts is awaited first. */
export async function releaseMounts(
  context: ContainerContext,
  container: Container,
  prepared: Promise<unknown> = Promise.resolve(),
): Promise<void> {
  try {
    await prepared;
  } catch {
    return; // It took everything back itself.
  }
  await unmountVolumes(context, container);
}

async function prepareBind({ hostPaths }: ContainerContext, bind: RequestedBind): Promise<BindToMake> {
  await prepareBindSource(hostPaths, bind.source, bind.createSource);
  checkPropagation(bind);
  return { ...bind, ...(await mappedOwners(bind.source, '', bind.idmap)) };
}

/** `-v` makes a missing directory, `--mount` wants it there; that it was there at create says nothing about now. */
async function prepareBindSource(hostPaths: ContainerContext['hostPaths'], source: string, create: boolean): Promise<void> {
  if ((await hostPaths.look(source)) !== null) return;
  if (!create) throw invalid(`invalid mount config for type "bind": bind source path does not exist: ${source}`);
  await hostPaths.make(source);
}

/** Mounts travel only through mounts that the host has made so; otherwise the container would wait in vain. */
function checkPropagation({ source, propagation }: RequestedBind): void {
  const refuse = ({ mountPoint }: MountOfPath, what: string): never => {
    throw new EngineError('system', `path ${source} is mounted on ${mountPoint} but it is not a ${what} mount`);
  };
  if (propagation.endsWith('shared')) {
    const mount = mountOfPath(source);
    if (!mount.shared) refuse(mount, 'shared');
  } else if (propagation.endsWith('slave')) {
    const mount = mountOfPath(source);
    if (!mount.shared && !mount.slave) refuse(mount, 'shared or slave');
  }
}

async function volumeBind({ destination, readOnly, subpath, idmap }: ContainerVolume, path: string): Promise<BindToMake> {
  return {
    kind: 'bind',
    source: path,
    subpath,
    destination,
    readOnly,
    recursiveReadOnly: readOnly,
    recursive: true,
    propagation: 'rprivate',
    ours: true,
    ...(await mappedOwners(path, subpath, idmap)),
  };
}

async function mappedOwners(source: string, subpath: string, idmap: string | undefined): Promise<Pick<BindToMake, 'owners'>> {
  if (idmap === undefined) return {};
  return { owners: specMappings(parseIdmap(idmap), await ownerOf(source, subpath)) };
}

/** A link that somebody swaps after this look changes whose files are mapped, not which are mounted. */
async function ownerOf(source: string, subpath: string): Promise<{ readonly uid: number; readonly gid: number }> {
  if (subpath === '') return await stat(source);
  const pinned = openInRoot(source, subpath, O_PATH);
  try {
    return fstatSync(pinned);
  } finally {
    closeSync(pinned);
  }
}

/** An overlay wants two directories at least: an image of one layer gets an empty one below it. */
async function imageLayers(
  { layers }: ContainerContext,
  { paths }: Container,
  { layers: refs, destination, subpath }: ContainerImageMount,
): Promise<LayersToMake> {
  const { base, lowers } = layers.mountOrder(refs);
  const empty = join(paths.directory, 'empty');
  if (lowers.length < 2) await mkdir(empty, { recursive: true, mode: 0o755 });
  return { kind: 'layers', base, lowers: lowers.length < 2 ? [...lowers, relative(base, empty)] : lowers, destination, subpath };
}
