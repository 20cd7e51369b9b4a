/**
 * How a worker thread gets at a container's root, as plain data. While it runs: through its init, with all that is mounted there. While it doesn't: an
 * overlay of its layers that nobody sees, with its volumes and binds put in place as the walk comes by (container-tree.ts).
 */
import type { OverlayLayers } from '../../linux/detached-overlay.ts';

export type RootAccess = RunningRoot | RestingRoot;

export interface RunningRoot {
  readonly kind: 'running';
  readonly pid: number;
  /** Part of the path of its cgroup: tells it from a later process of the same number. */
  readonly containerId: string;
  /** Of its user namespace: mounts show its ids by those of the host. Null: it has the host's. */
  readonly ids: { readonly base: number; readonly size: number } | null;
}

export interface RestingRoot {
  readonly kind: 'resting';
  readonly overlay: OverlayLayers;
  /** An empty directory of ours: stands in for directories that a mount point still lacks, and is the mount point of old kernels. */
  readonly empty: string;
  readonly mounts: readonly RestingMount[];
  /** Missing mount points are made first, as a start does. */
  readonly makesMountPoints: boolean;
}

export interface RestingMount {
  readonly destination: string;
  readonly readOnly: boolean;
  readonly source: MountSource;
}

export type MountSource =
  | { readonly kind: 'path'; readonly path: string; readonly subpath: string }
  | { readonly kind: 'layers'; readonly base: string; readonly lowers: readonly string[]; readonly subpath: string };

/** Where writing is refused before it is tried. */
export interface WriteRules {
  readonly readOnlyRoot: boolean;
  readonly mounts: readonly { readonly destination: string; readonly readOnly: boolean }[];
}
