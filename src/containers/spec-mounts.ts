/** The mounts of a spec, in the order they are made: Docker's own, less what the user covers, then those of devices, the user's and the /etc files, parents first. Pure. */
import type { DeviceMount } from '../devices/device-edits.ts';
import type { Mount } from '../oci/runtime-spec.ts';
import type { HostConfig } from './config.ts';
import type { RequestedBind, RequestedTmpfs } from './mounts.ts';
import { deviceMounts } from './spec-edits.ts';

/** Host paths of the files that Gantry writes for the container. */
export interface ContainerFiles {
  readonly resolvConf: string;
  readonly hostname: string;
  readonly hosts: string;
}

/** Volumes are binds by now, images their layers. */
export type MountToMake = BindToMake | RequestedTmpfs | LayersToMake;

export interface BindToMake
  extends Pick<RequestedBind, 'kind' | 'source' | 'destination' | 'readOnly' | 'recursiveReadOnly' | 'recursive' | 'propagation'> {
  readonly subpath?: string;
  readonly owners?: Pick<Mount, 'uidMappings' | 'gidMappings'>;
  /** A volume: its files keep their owners in a user namespace. */
  readonly ours?: true;
}

export interface LayersToMake {
  readonly kind: 'layers';
  readonly base: string;
  /** Topmost first, relative to `base`. */
  readonly lowers: readonly string[];
  readonly destination: string;
  readonly subpath: string;
  /** What is written goes there; absent: it is read-only. */
  readonly writable?: NonNullable<Mount['writable']>;
}

const layerOptions = ['redirect_dir=off', 'metacopy=off', 'index=off'];
const defaultShmBytes = 64 * 1024 * 1024;

/** `ipcMounts`: the mount namespace whose /dev/shm is shared; null: a new one. `devices`: what granted devices bring; the user's own mounts win. */
export function specMounts(
  hostConfig: HostConfig,
  requested: readonly MountToMake[],
  files: ContainerFiles,
  ipcMounts: string | null,
  devices: readonly DeviceMount[] = [],
): Mount[] {
  const covered = new Set(requested.map(({ destination }) => destination));
  const own = defaultMounts(hostConfig, ipcMounts).filter(({ destination }) => {
    const underOwnDev = covered.has('/dev') && destination.startsWith('/dev/');
    return !covered.has(destination) && !underOwnDev;
  });
  const given = [...etcMounts(files, hostConfig, covered), ...deviceMounts(devices, covered), ...requested.map(mountOf)];
  // Stable: mounts of the same depth stay in the order asked.
  given.sort((a, b) => depth(a.destination) - depth(b.destination));
  return [...own, ...given];
}

/** What every container has (moby's DefaultLinuxSpec). `--privileged` may write below /sys; a read-only root changes only mounts of the image. */
function defaultMounts(hostConfig: HostConfig, ipcMounts: string | null): Mount[] {
  const access = hostConfig.Privileged ? [] : ['ro'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', ...access] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...access, 'nosuid', 'noexec', 'nodev'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    ...sharedMemory(hostConfig, ipcMounts),
  ];
}

function sharedMemory({ IpcMode: mode, ShmSize: size }: HostConfig, ipcMounts: string | null): Mount[] {
  if (mode === 'none') return [];
  if (ipcMounts !== null)
    return [{ destination: '/dev/shm', type: 'bind', source: '/dev/shm', namespace: ipcMounts, options: ['bind', 'rprivate'] }];
  if (mode === 'host') return [{ destination: '/dev/shm', type: 'bind', source: '/dev/shm', options: ['rbind', 'rprivate'] }];
  const options = ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${size === 0 ? defaultShmBytes : size}`];
  return [{ destination: '/dev/shm', type: 'tmpfs', source: 'shm', options }];
}

/** A user's own mount on such a file takes its place. */
function etcMounts(files: ContainerFiles, hostConfig: HostConfig, covered: ReadonlySet<string>): Mount[] {
  const options = ['rbind', ...(hostConfig.ReadonlyRootfs ? ['ro'] : []), 'rprivate'];
  const mounts = [
    { destination: '/etc/resolv.conf', type: 'bind', source: files.resolvConf, options },
    { destination: '/etc/hostname', type: 'bind', source: files.hostname, options },
    { destination: '/etc/hosts', type: 'bind', source: files.hosts, options },
  ];
  return mounts.filter(({ destination }) => !covered.has(destination));
}

function mountOf(mount: MountToMake): Mount {
  if (mount.kind === 'tmpfs') return { destination: mount.destination, type: 'tmpfs', source: 'tmpfs', options: mount.options };
  const part = mount.subpath === undefined || mount.subpath === '' ? {} : { subpath: mount.subpath };
  if (mount.kind === 'layers') {
    const { destination, base: source, lowers: layers, writable } = mount;
    return { destination, type: 'layers', source, layers, options: layerOptions, ...part, ...(writable === undefined ? {} : { writable }) };
  }
  const access = mount.recursiveReadOnly ? ['rro'] : mount.readOnly ? ['ro'] : [];
  const options = [mount.recursive ? 'rbind' : 'bind', ...access, mount.propagation];
  return { destination: mount.destination, type: 'bind', source: mount.source, options, ...mount.owners, ...part };
}

function depth(path: string): number {
  return path.split('/').length;
}
