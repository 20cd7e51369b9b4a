/** The mounts that a container has, settled at its creation and stored with it: volumes by name, images by their layers. And how inspect lists them. */
import type { ImageId } from '../base/brand.ts';
import type { LayerRef } from '../store/layer-store.ts';
import type { MountPoint } from './containers.ts';
import type { RequestedBind, RequestedTmpfs, RequestedVolume } from './mounts.ts';

export type ContainerMount = RequestedBind | RequestedTmpfs | ContainerVolume | ContainerImageMount;

export interface ContainerVolume extends Pick<RequestedVolume, 'kind' | 'destination' | 'readOnly' | 'subpath' | 'mode' | 'idmap'> {
  readonly name: string;
  readonly driver: string;
  /** Where the host has it, as far as that is known before it is mounted. */
  readonly source: string;
  /** Nobody named it: it goes with its last container, when that is asked for. */
  readonly anonymous: boolean;
}

export interface ContainerImageMount {
  readonly kind: 'image';
  /** As asked. */
  readonly image: string;
  readonly imageId: ImageId;
  /** Kept here too: the image may be removed by force. */
  readonly layers: readonly LayerRef[];
  readonly destination: string;
  readonly subpath: string;
}

export function volumesOf(mounts: readonly ContainerMount[]): readonly ContainerVolume[] {
  return mounts.filter((mount) => mount.kind === 'volume');
}

export function imageMountsOf(mounts: readonly ContainerMount[]): readonly ContainerImageMount[] {
  return mounts.filter((mount) => mount.kind === 'image');
}

/** What inspect lists: all but `--tmpfs`, which is only in the host configuration. */
export function mountPointsOf(mounts: readonly ContainerMount[]): readonly MountPoint[] {
  return mounts.filter((mount) => mount.kind !== 'tmpfs' || mount.listed).map(mountPointOf);
}

function mountPointOf(mount: ContainerMount): MountPoint {
  const { destination } = mount;
  switch (mount.kind) {
    case 'bind': {
      const { source, mode, readOnly, propagation } = mount;
      return { type: 'bind', source, destination, mode, rw: !readOnly, propagation };
    }
    case 'volume': {
      const { name, source, driver, mode, readOnly } = mount;
      return { type: 'volume', name, source, destination, driver, mode, rw: !readOnly, propagation: '' };
    }
    case 'image':
      return { type: 'image', source: mount.imageId, destination, mode: '', rw: false, propagation: '' };
    case 'tmpfs':
      return { type: 'tmpfs', source: '', destination, mode: '', rw: !mount.options.includes('ro'), propagation: '' };
  }
}
