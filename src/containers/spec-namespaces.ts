/** Which namespaces a container has of its own, shares with the host, or joins. Pure. */
import { invalid } from '../base/errors.ts';
import type { Linux, NamespaceType } from '../oci/runtime-spec.ts';
import type { HostConfig } from './config.ts';

/** Paths of namespaces that exist already: those of the containers that modes name, and the network that was prepared for this one. Null: a new one is made. */
export interface JoinedNamespaces {
  readonly network: string | null;
  readonly pid: string | null;
  readonly ipc: string | null;
  /** The mount namespace of the container whose IPC is joined: its /dev/shm is there. */
  readonly ipcMounts: string | null;
}

export const nothingJoined: JoinedNamespaces = { network: null, pid: null, ipc: null, ipcMounts: null };

type Modes = Pick<HostConfig, 'NetworkMode' | 'PidMode' | 'IpcMode' | 'UTSMode' | 'CgroupnsMode'>;
type Shareable = 'network' | 'pid' | 'ipc' | 'uts';

const modeFields = { network: 'NetworkMode', pid: 'PidMode', ipc: 'IpcMode', uts: 'UTSMode' } as const;

export function sharesWithHost(modes: Modes, type: Shareable): boolean {
  return modes[modeFields[type]] === 'host';
}

/** In Docker's order: mount, network, uts, pid, ipc, cgroup. */
export function specNamespaces(modes: Modes, joined: JoinedNamespaces, cgroupVersion: 1 | 2): Linux['namespaces'] {
  const shareable = (['network', 'uts', 'pid', 'ipc'] as const)
    .filter((type) => !sharesWithHost(modes, type))
    .map((type) => ({ type, ...joinedPath(modes, type, joined) }));
  const cgroup = ownCgroupNamespace(modes, cgroupVersion) ? [{ type: 'cgroup' as NamespaceType }] : [];
  return [{ type: 'mount' }, ...shareable, ...cgroup];
}

function joinedPath(modes: Modes, type: Shareable, joined: JoinedNamespaces): { readonly path?: string } {
  const mode = modes[modeFields[type]];
  if (!mode.startsWith('container:')) return type === 'network' && joined.network !== null ? { path: joined.network } : {};
  const path = type === 'uts' ? null : joined[type];
  if (path === null) throw invalid(`cannot join the ${type} namespace of ${mode.slice('container:'.length)}: it does not run`);
  return { path };
}

/** Docker's default: private in a v2 tree, the host's in a v1 tree (programs expect the whole path there). */
function ownCgroupNamespace({ CgroupnsMode: mode }: Modes, version: 1 | 2): boolean {
  return mode === '' ? version === 2 : mode === 'private';
}
