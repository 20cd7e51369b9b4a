/**
 * Volumes in the life of a container:
 *
 *   create   claimed ──▶ created, filled from the image ──▶ the container's          taken back when the creation fails
 *   start    mounted on the host (plain local ones need none) ──▶ bound into it      unmounted when the start fails
 *   end      unmounted
 *   remove   anonymous ones removed, when asked for (`-v`, `--rm`) and nobody else has them
 *
 * A volume counts as used from its claim to the removal of its last container.
 */
import type { ContainerId } from '../base/brand.ts';
import { EngineError, errorText } from '../base/errors.ts';
import { ANONYMOUS_LABEL, anonymousVolumeName } from '../volumes/volume-name.ts';
import type { Volumes, VolumeView } from '../volumes/volumes.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import { type ContainerMount, type ContainerVolume, volumesOf } from './container-mounts.ts';
import type { ContainerRegistry } from './container-registry.ts';
import type { RequestedVolume } from './mounts.ts';
import { noteNewVolume } from './new-volumes.ts';
import type { ImageLayers, PlannedMount } from './plan-mounts.ts';
import type { VolumeClaims } from './volume-claims.ts';

type VolumeContext = Pick<ContainerContext, 'volumes' | 'volumeClaims' | 'logger'>;

interface NewContainer {
  readonly id: ContainerId;
  readonly directory: string;
}

/** Creates and fills what is not there; `undo` takes it back. The caller drops the claims when the container is in the registry. */
export async function makeVolumes(
  context: VolumeContext,
  undo: AsyncDisposableStack,
  container: NewContainer,
  planned: readonly PlannedMount[],
  layers: ImageLayers,
): Promise<readonly ContainerMount[]> {
  const mounts: ContainerMount[] = [];
  for (const mount of planned) {
    if (mount.kind === 'volume') mounts.push(await makeVolume(context, undo, container, mount, layers));
    else mounts.push(mount);
  }
  return mounts;
}

async function makeVolume(
  context: VolumeContext,
  undo: AsyncDisposableStack,
  container: NewContainer,
  planned: RequestedVolume | ContainerVolume,
  layers: ImageLayers,
): Promise<ContainerVolume> {
  const { volumes, volumeClaims } = context;
  const name = planned.name ?? anonymousVolumeName();
  // Before it exists: a prune at the same moment must not take it.
  volumeClaims.claim(name, container.id);
  if ('source' in planned) {
    // Another container's, by --volumes-from.
    await volumes.inspect(name);
    return planned;
  }
  const isNew = await isMissing(volumes, name);
  if (planned.name === null) await noteNewVolume(container.directory, name);
  const view = await volumes.create({
    name,
    driver: planned.driver,
    driverOptions: planned.driverOptions,
    labels: planned.name === null ? { ...planned.labels, [ANONYMOUS_LABEL]: '' } : planned.labels,
  });
  if (isNew) undo.defer(() => takeBack(context, name, container.id));
  if (planned.copy && planned.subpath === '') await volumes.populate(name, { ...layers, path: planned.destination });
  return containerVolume(planned, view);
}

function containerVolume(planned: RequestedVolume, { name, driver, mountpoint }: VolumeView): ContainerVolume {
  const { destination, readOnly, subpath, mode, idmap } = planned;
  return {
    kind: 'volume',
    name,
    driver,
    source: mountpoint,
    anonymous: planned.name === null,
    destination,
    readOnly,
    subpath,
    // Docker shows its SELinux default for every local volume that was given a name.
    mode: mode === '' && planned.name !== null && driver === 'local' ? 'z' : mode,
    ...(idmap === undefined ? {} : { idmap }),
  };
}

async function isMissing(volumes: Volumes, name: string): Promise<boolean> {
  try {
    await volumes.inspect(name);
    return false;
  } catch (error) {
    if (error instanceof EngineError && error.code === 'not-found') return true;
    throw error;
  }
}

/** Somebody else may have begun to use it: then it stays. */
async function takeBack({ volumes, volumeClaims, logger }: VolumeContext, name: string, container: ContainerId): Promise<void> {
  volumeClaims.drop(container);
  try {
    await volumes.remove(name, { force: true });
  } catch (error) {
    if (error instanceof EngineError && error.code === 'conflict') return;
    logger.warn({ volume: name, error: errorText(error) }, 'cannot remove the volume of a container that was not created');
  }
}

/** For `Volumes.setUsers`. A container on its way out uses nothing any more. */
export function volumeUsers(registry: ContainerRegistry, claims: VolumeClaims): (name: string) => readonly ContainerId[] {
  return (name) => {
    const users = registry.all().filter(({ state, record }) => state.status !== 'removing' && hasVolume(record.mounts, name));
    return [...new Set([...users.map(({ id }) => id), ...claims.holdersOf(name)])];
  };
}

function hasVolume(mounts: readonly ContainerMount[], name: string): boolean {
  return volumesOf(mounts).some((volume) => volume.name === name);
}

/** Host paths by destination. All or none. */
export async function mountVolumes(context: VolumeContext, { id, record }: Container): Promise<ReadonlyMap<string, string>> {
  const paths = new Map<string, string>();
  const mounted: ContainerVolume[] = [];
  try {
    for (const volume of volumesOf(record.mounts)) {
      const attributes = { destination: volume.destination, propagation: '', 'read/write': String(!volume.readOnly) };
      const { path } = await context.volumes.mount(volume.name, id, attributes);
      mounted.push(volume);
      paths.set(volume.destination, path);
    }
    return paths;
  } catch (error) {
    await unmountAll(context, id, mounted);
    throw error;
  }
}

export async function unmountVolumes(context: VolumeContext, { id, record }: Container): Promise<void> {
  await unmountAll(context, id, volumesOf(record.mounts));
}

async function unmountAll({ volumes, logger }: VolumeContext, id: ContainerId, mounted: readonly ContainerVolume[]): Promise<void> {
  for (const { name } of mounted) {
    await volumes.unmount(name, id).catch((error) => {
      logger.warn({ container: id, volume: name, error: errorText(error) }, 'cannot unmount a volume of a container that ended');
    });
  }
}

/** After a restart of the daemon, before any end is told. */
export async function restoreVolumes({ volumes, registry }: ContainerContext): Promise<void> {
  const running = registry.all().filter(({ state }) => state.status === 'running');
  await volumes.restore(running.map(({ id, record }) => ({ container: id, names: volumesOf(record.mounts).map(({ name }) => name) })));
}

/** Of a container in state `removing`. Named volumes never; what another container has stays with it. */
export async function removeAnonymousVolumes({ volumes, logger }: VolumeContext, { id, record }: Container): Promise<void> {
  const names = new Set(volumesOf(record.mounts).flatMap(({ name, anonymous }) => (anonymous ? [name] : [])));
  for (const name of names) {
    try {
      await volumes.remove(name, { force: true });
    } catch (error) {
      if (error instanceof EngineError && error.code === 'conflict') continue;
      logger.warn({ container: id, volume: name, error: errorText(error) }, 'cannot remove an anonymous volume of a container');
    }
  }
}
