/** One mount of a spec → steps below the new root. Pure. */
import { posix } from 'node:path';
import { invalid, notImplemented } from '../base/errors.ts';
import type { CgroupPlacement } from '../linux/cgroups.ts';
import { MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_SHARED } from '../linux/constants.ts';
import type { IdMapping, Mount } from '../oci/runtime-spec.ts';
import { type MountOptions, parseMountOptions } from './mount-options.ts';
import type { PlannedStep, Step } from './plan.ts';

/** Where the container is in the host's cgroup hierarchies. */
export type CgroupView = Pick<CgroupPlacement, 'joinFiles' | 'v2Directory' | 'paths'>;

/** File systems a container may have mounted for it. Others could make the kernel read a disk image of the container's making. */
const kernelTypes: ReadonlySet<string> = new Set(['proc', 'sysfs', 'devpts', 'mqueue', 'tmpfs']);

/** `taken`: the number of the mount's `take-tree` step, see `takenBinds`; 0: it has none. */
export function mountSteps(mount: Mount, cgroup: CgroupView, taken = 0): PlannedStep[] {
  const options = parseMountOptions(mount.options ?? []);
  if (isBind(mount, options)) return [bindStep(mount, options, taken)];
  if ((options.propagation & MS_SHARED) !== 0) {
    throw notImplemented(`Shared propagation of the mount ${mount.destination} is not supported: it is not a bind`);
  }
  if (mount.type === 'layers') return [layersStep(mount, options)];
  if (mount.type === 'memory-file') return [memoryFileStep(mount)];
  if (mount.type === 'cgroup' || mount.type === 'cgroup2') return cgroupSteps(mount, options, cgroup);
  const type = mount.type ?? '';
  if (!kernelTypes.has(type)) throw notImplemented(`A mount of type "${type}" (${mount.destination}) is not supported`);
  if (type === 'tmpfs') return tmpfsSteps(mount, options);
  return [mkdirStep(mount.destination, 0o755), mountStep(type, mount, options)];
}

/**
 * Binds whose trees are taken first: those through which mounts travel, before the container's mounts are parted from the host's; and those of another mount
 * namespace, which is entered for it.
 */
export function takenBinds(mounts: readonly Mount[]): readonly Mount[] {
  return mounts.filter((mount) => {
    const options = parseMountOptions(mount.options ?? []);
    return isBind(mount, options) && ((options.propagation & MS_SHARED) !== 0 || mount.namespace !== undefined);
  });
}

export function takeTreeStep({ source = '', subpath = '', namespace = '', options = [] }: Mount): PlannedStep {
  const step: Step = { op: 'take-tree', source, subpath, namespace, recursive: parseMountOptions(options).bind !== 'bind' };
  if (namespace !== '') return planned(step, 'shared with another container', `open ${source} in the mount namespace ${namespace}`);
  return planned(step, 'mounts made in it reach the host', `open the shared mount ${source}`);
}

function isBind(mount: Mount, options: MountOptions): boolean {
  return options.bind !== 'no' || mount.type === 'bind';
}

function planned(step: Step, reason: string, failure: string): PlannedStep {
  return { step, reason, failure };
}

function mkdirStep(target: string, mode: number): PlannedStep {
  return planned({ op: 'mkdir', target, mode, uid: 0, gid: 0 }, 'a mount point', `make the mount point ${target}`);
}

function mountStep(fstype: string, mount: Mount, options: MountOptions): PlannedStep {
  const { destination: target, source = fstype } = mount;
  const step = { op: 'mount', fstype, source, target, flags: options.flags, data: options.data.join(',') } as const;
  return planned(step, mountReasons[fstype] ?? 'asked for', `mount ${fstype} on ${target}`);
}

const mountReasons: Readonly<Record<string, string>> = {
  proc: "shows the container's own processes",
  sysfs: "shows the container's own network devices",
  devpts: 'terminals of its own',
  mqueue: 'message queues of its own',
  cgroup2: 'its own limits and counters',
  tmpfs: 'files that never reach a disk',
};

/** A tmpfs without a mode gets that of the directory it covers; one over nothing is for everybody, as the kernel makes it. */
function tmpfsSteps(mount: Mount, options: MountOptions): PlannedStep[] {
  const { destination: target } = mount;
  const directory = mkdirStep(target, options.data.some((option) => option.startsWith('mode=')) ? 0o755 : 0o1777);
  if (!options.copyUp) return [directory, mountStep('tmpfs', mount, options)];
  const step = { op: 'mount-tmpfs-copyup', target, flags: options.flags, data: options.data.join(',') } as const;
  return [directory, planned(step, "starts with the image's files", `mount a tmpfs on ${target}`)];
}

function bindStep(mount: Mount, options: MountOptions, taken: number): PlannedStep {
  const { destination: target, source = '', subpath = '' } = mount;
  if (!posix.isAbsolute(source)) throw invalid(`The bind mount ${target} has no absolute source: "${source}"`);
  const [unknown] = options.data;
  if (unknown !== undefined) throw invalid(`The bind mount ${target} has the unknown option "${unknown}"`);
  const step: Step = {
    op: 'bind',
    source,
    subpath,
    target,
    recursive: options.bind !== 'bind',
    flags: options.flags,
    recursiveReadOnly: options.recursiveReadOnly,
    propagation: options.propagation,
    create: true,
    taken,
    ...ownerMaps(mount),
  };
  return planned(step, 'a file or directory of the host', `bind ${source} to ${target}`);
}

/** A mapping of users only leaves groups as they are, and the other way round. */
function ownerMaps({ uidMappings = [], gidMappings = [] }: Mount): { readonly uidMap: number[]; readonly gidMap: number[] } {
  if (uidMappings.length === 0 && gidMappings.length === 0) return { uidMap: [], gidMap: [] };
  const triples = (mappings: readonly IdMapping[]): number[] =>
    mappings.length === 0 ? [0, 0, 2 ** 32 - 1] : mappings.flatMap(({ containerID, hostID, size }) => [containerID, hostID, size]);
  return { uidMap: triples(uidMappings), gidMap: triples(gidMappings) };
}

function layersStep(
  { destination: target, source = '', layers = [], subpath = '', writable: given }: Mount,
  { data }: MountOptions,
): PlannedStep {
  if (!posix.isAbsolute(source)) throw invalid(`The layers of the mount ${target} have no absolute directory: "${source}"`);
  if (layers.length < (given === undefined ? 2 : 1))
    throw invalid(
      `The mount ${target} has ${layers.length} layers: at least two make an overlay that is read-only, one makes a writable one`,
    );
  const writable = given === undefined ? [] : [given.upper, given.work];
  const step: Step = { op: 'mount-layers', target, lowerBase: source, lowers: layers, options: data.join(','), subpath, writable };
  return planned(step, `an image's files, ${given === undefined ? 'read-only' : 'writable'}`, `mount image layers on ${target}`);
}

function memoryFileStep({ destination: target, file }: Mount): PlannedStep {
  if (file === undefined) throw invalid(`The memory file ${target} has no content`);
  return planned({ op: 'memory-file', target, ...file }, 'on no disk and in no swap', `mount a file of memory on ${target}`);
}

function cgroupSteps(mount: Mount, options: MountOptions, cgroup: CgroupView): PlannedStep[] {
  if (cgroup.joinFiles.length === 0)
    return [mkdirStep(mount.destination, 0o755), mountStep('cgroup2', { ...mount, source: 'cgroup' }, options)];
  return cgroupV1Steps(mount.destination, options, hierarchiesOf(cgroup));
}

/**
 * A v1 tree looks as runc lays it out: a tmpfs with a directory for each hierarchy, which shows the container's own cgroup there, and links for hierarchies
 * with several controllers (`cpu` → `cpu,cpuacct`). The tmpfs turns read-only before the binds, so that the copy which does it stays a single mount.
 */
function cgroupV1Steps(target: string, options: MountOptions, hierarchies: readonly Hierarchy[]): PlannedStep[] {
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  const tmpfs: Step = { op: 'mount', fstype: 'tmpfs', source: 'tmpfs', target, flags, data: 'mode=755' };
  return [
    mkdirStep(target, 0o755),
    planned(tmpfs, 'holds the cgroup hierarchies', `mount a tmpfs on ${target}`),
    ...hierarchies.map(({ name }) => mkdirStep(`${target}/${name}`, 0o755)),
    ...hierarchies.flatMap((hierarchy) => controllerLinks(target, hierarchy)),
    ...((options.flags & MS_RDONLY) === 0
      ? []
      : [planned({ op: 'readonly', target }, 'nothing to write here', `make ${target} read-only`)]),
    ...hierarchies.map(({ name, directory }) => hierarchyBind(directory, `${target}/${name}`, options)),
  ];
}

function hierarchyBind(source: string, target: string, options: MountOptions): PlannedStep {
  const step: Step = {
    op: 'bind',
    source,
    subpath: '',
    target,
    recursive: false,
    flags: options.flags,
    recursiveReadOnly: false,
    propagation: 0,
    create: false,
    taken: 0,
    uidMap: [],
    gidMap: [],
  };
  return planned(step, 'its own limits and counters', `bind the cgroup ${source}`);
}

function controllerLinks(target: string, { name, controllers }: Hierarchy): PlannedStep[] {
  return controllers
    .filter((controller) => controller !== name)
    .map((controller) => {
      const step: Step = { op: 'symlink', target: `${target}/${controller}`, text: name };
      return planned(step, 'its usual name', `link the cgroup controller ${controller}`);
    });
}

interface Hierarchy {
  /** `cpu,cpuacct` when it has several controllers. */
  readonly name: string;
  readonly controllers: readonly string[];
  readonly directory: string;
}

function hierarchiesOf({ paths, v2Directory }: CgroupView): Hierarchy[] {
  const byDirectory = new Map<string, string[]>();
  for (const [controller, directory] of Object.entries(paths)) {
    if (directory !== v2Directory) byDirectory.set(directory, [...(byDirectory.get(directory) ?? []), controller]);
  }
  return [...byDirectory].map(([directory, controllers]) => ({ name: controllers.join(','), controllers, directory }));
}
