/**
 * Which mounts a new container is to have, before any is made. One a destination; a later row wins, but the last, which only fills what is left:
 *
 *   --volumes-from, in order  <  -v, --mount, --tmpfs  ;  -v /path and VOLUMEs of the image
 */
import { EngineError, invalid } from '../base/errors.ts';
import { layerStackOf } from '../store/layer-stack.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import type { ContainerContext } from './container-context.ts';
import type { ContainerImageMount, ContainerMount } from './container-mounts.ts';
import { anonymousVolume, type RequestedImage, type RequestedVolume, requestedMounts } from './mounts.ts';
import { parseVolumesFrom } from './volume-syntax.ts';

/** Volumes that are still to be created, or filled, among what is settled. */
export type PlannedMount = ContainerMount | RequestedVolume;

/** Layer directories of the image, topmost first, relative to `base`. */
export interface ImageLayers {
  readonly base: string;
  readonly lowers: readonly string[];
}

/** `config` merged with the image's. Throws what can be known to be wrong. */
export function planMounts(
  context: Pick<ContainerContext, 'registry' | 'images'>,
  config: Pick<ContainerConfig, 'Volumes'>,
  hostConfig: HostConfig,
  layers: ImageLayers,
): readonly PlannedMount[] {
  const planned = new Map<string, PlannedMount>();
  for (const mount of (hostConfig.VolumesFrom ?? []).flatMap((raw) => inheritedMounts(context, raw))) planned.set(mount.destination, mount);
  for (const mount of requestedMounts(hostConfig)) {
    planned.set(mount.destination, mount.kind === 'image' ? imageMount(context, mount) : mount);
  }
  for (const path of Object.keys(config.Volumes ?? {})) {
    const volume = anonymousVolume(path, hostConfig.VolumeDriver);
    if (planned.has(volume.destination)) continue;
    refuseFile(layers, volume.destination);
    planned.set(volume.destination, volume);
  }
  return [...planned.values()];
}

function inheritedMounts({ registry }: Pick<ContainerContext, 'registry'>, raw: string): ContainerMount[] {
  const { reference, readOnly } = parseVolumesFrom(raw);
  const other = registry.find(reference);
  // Not `not-found`: clients take that for a missing image and pull.
  if (other === null) throw invalid(`No such container: ${reference}`);
  return other.record.mounts.filter((mount) => mount.kind !== 'tmpfs' || mount.listed).map((mount) => inherited(mount, readOnly));
}

function inherited(mount: ContainerMount, readOnly: boolean): ContainerMount {
  switch (mount.kind) {
    case 'bind':
      return { ...mount, mode: '', readOnly: mount.readOnly || readOnly, recursiveReadOnly: mount.recursiveReadOnly || readOnly };
    case 'volume':
      return { ...mount, mode: '', readOnly: mount.readOnly || readOnly };
    case 'tmpfs':
      return readOnly ? { ...mount, options: [...mount.options.filter((option) => option !== 'rw'), 'ro'] } : mount;
    case 'image':
      return mount;
  }
}

function imageMount({ images }: Pick<ContainerContext, 'images'>, { image, destination, subpath }: RequestedImage): ContainerImageMount {
  try {
    const { id, layers } = images.resolve(image);
    return { kind: 'image', image, imageId: id, layers, destination, subpath };
  } catch (error) {
    if (!(error instanceof EngineError) || error.code !== 'not-found') throw error;
    throw invalid(`invalid mount config for type "image": ${error.message}`, { cause: error });
  }
}

/** As Docker does: only for volumes that nobody named. */
function refuseFile({ base, lowers }: ImageLayers, destination: string): void {
  const found = layerStackOf(base, lowers).resolve(destination);
  if (found === null || found.stats.isDirectory()) return;
  throw invalid(`cannot mount volume over existing file, file exists ${destination}`);
}
