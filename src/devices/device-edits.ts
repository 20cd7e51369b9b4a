/**
 * What devices change in a container: `containerEdits` of the Container Device Interface (CDI, SPEC.md), with everything that a description leaves open looked up on
 * this host. Whoever makes the container only carries it out.
 */
import type { HookPoint, IntelRdt } from '../oci/runtime-spec.ts';

export interface DeviceEdits {
  /** `K=V`; they replace what the container has of that name, and later ones earlier ones. */
  readonly env: readonly string[];
  readonly nodes: readonly DeviceNode[];
  readonly mounts: readonly DeviceMount[];
  /** Symbolic links that programs expect. Made beside the image, not in what the container writes. */
  readonly links: readonly DeviceLink[];
  /** Directories of the container whose libraries its dynamic loader has to find. Absolute. */
  readonly loaderDirectories: readonly string[];
  /** Version of the CUDA driver that they bring: the image's libraries for older drivers come before its own when they are newer (cuda-compat.ts). Null: they never do. */
  readonly cudaDriver: string | null;
  /** Read-only files that lie over those of the same name below the container's /proc. */
  readonly procFiles: readonly { readonly path: string; readonly content: string }[];
  /** Programs of the host that are to be run; what this engine does itself (links, loader cache) is above instead. */
  readonly hooks: readonly DeviceHook[];
  readonly additionalGids: readonly number[];
  readonly intelRdt: IntelRdt | null;
  readonly netDevices: readonly { readonly hostInterfaceName: string; readonly name: string }[];
}

export interface DeviceNode {
  /** In the container. */
  readonly path: string;
  readonly hostPath: string;
  readonly type: 'c' | 'b' | 'u' | 'p';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode: number;
  /** Null: that of the container's process, as the library of CDI has it. */
  readonly uid: number | null;
  readonly gid: number | null;
  /** Of `rwm`: what the container's device filter lets it do; '': nothing. */
  readonly access: string;
}

export interface DeviceMount {
  readonly hostPath: string;
  readonly containerPath: string;
  /** What `hostPath` is, links followed. */
  readonly kind: 'file' | 'directory';
  /** Of mount(8): `ro`, `nosuid`, `nodev`, `rbind`, `rprivate`, … */
  readonly options: readonly string[];
  /** '': a bind mount. */
  readonly type: string;
}

export interface DeviceLink {
  /** In the container, absolute. */
  readonly path: string;
  /** The text of the link. */
  readonly target: string;
}

export interface DeviceHook {
  readonly point: HookPoint;
  /** On the host, absolute. */
  readonly path: string;
  /** With the name of the program first. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Null: the runtime's own patience. */
  readonly timeoutSeconds: number | null;
}

export const noEdits: DeviceEdits = {
  env: [],
  nodes: [],
  mounts: [],
  links: [],
  loaderDirectories: [],
  cudaDriver: null,
  procFiles: [],
  hooks: [],
  additionalGids: [],
  intelRdt: null,
  netDevices: [],
};
