/** Where a container's files are: all below its own directory, which only root can enter. */
import { join } from 'node:path';
import type { ContainerId } from '../base/brand.ts';
import { cgroupPathBelow } from './cgroup-parent.ts';
import type { HostConfig } from './config.ts';

export interface ContainerPaths {
  readonly directory: string;
  /** What the container wrote: overlay's upper directory. */
  readonly upper: string;
  readonly work: string;
  /** Empty; the overlay is mounted here in the container's own mount namespace only. */
  readonly merged: string;
  /** While it runs with devices: what they lay over the image (container-devices.ts). */
  readonly devices: string;
  readonly log: string;
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

export function containerPaths(root: string, id: ContainerId): ContainerPaths {
  const directory = join(root, id);
  return {
    directory,
    upper: join(directory, 'upper'),
    work: join(directory, 'work'),
    merged: join(directory, 'merged'),
    devices: join(directory, 'devices'),
    log: join(directory, `${id}-json.log`),
    hosts: join(directory, 'hosts'),
    hostname: join(directory, 'hostname'),
    resolvConf: join(directory, 'resolv.conf'),
  };
}

/** Below each controller's mount. Of a container without a record only the id is known. */
export function cgroupsPathOf(
  { cgroupParent }: { readonly cgroupParent: string },
  { id, hostConfig }: { readonly id: ContainerId; readonly hostConfig?: Pick<HostConfig, 'CgroupParent'> },
): string {
  return cgroupPathBelow(cgroupParent, hostConfig?.CgroupParent ?? '', id);
}
