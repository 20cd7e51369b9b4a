/**
 * A container in a user namespace of its own: which steps that adds to its plan, and what it changes in the others. Pure.
 *
 *   make          a process that waits has the namespace made and mapped; its descriptor is kept
 *   layers        the directories of layers, upper and work directory are mounted over themselves with mapped owners: on disk everything keeps the numbers that
 *                 it has inside, so that layers are shared, and diff, commit and export need to know nothing
 *   file owner    from here on the host's root makes files as the container's root: they could not be mapped otherwise
 *   …             root, mounts, devices, masks: with the host's rights
 *   enter         after the last thing that needs those; then a mount and a UTS namespace that belong to it, so that its root may mount and rename, and cannot
 *                 take away what was mounted or masked before
 *
 * PID, IPC, cgroup and network namespace belong to the host's user namespace: a capability over them (NET_ADMIN, NET_RAW) has no effect inside.
 */
import { dirname } from 'node:path';
import { invalid } from '../base/errors.ts';
import { CLONE_NEWNS, CLONE_NEWUTS } from '../linux/constants.ts';
import type { Linux, RuntimeSpec } from '../oci/runtime-spec.ts';
import type { PlannedStep, Step } from './plan.ts';
import type { Rootfs } from './runtime.ts';

/** Ids 0 to `size` - 1 of the container are `base` and up on the host. */
export interface IdRange {
  readonly base: number;
  readonly size: number;
}

/** Null: the container's ids are the host's. */
export function idRangeOf({ namespaces, uidMappings = [], gidMappings = [] }: Linux): IdRange | null {
  if (!namespaces.some(({ type }) => type === 'user')) return null;
  const [uids, ...more] = uidMappings;
  const [gids] = gidMappings;
  const isOne = uids !== undefined && more.length === 0 && gidMappings.length === 1 && uids.containerID === 0;
  if (!isOne || JSON.stringify(uids) !== JSON.stringify(gids))
    throw invalid('A user namespace needs one range of ids from 0 on, the same for users and groups');
  return { base: uids.hostID, size: uids.size };
}

/** Before the root is mounted. */
export function prepareUserNamespace({ base, size }: IdRange, rootfs: Rootfs): PlannedStep[] {
  const map = [0, base, size];
  return [
    planned(
      { op: 'user-namespace', uidMap: map, gidMap: map },
      'ids of its own',
      `make a user namespace for ids ${base}-${base + size - 1}`,
    ),
    ...directoriesOf(rootfs).map((path) => mappedBind(path, map)),
    planned({ op: 'file-owner', uid: base, gid: base }, "what is made belongs to the container's root", `make files as user ${base}`),
  ];
}

function directoriesOf(rootfs: Rootfs): readonly string[] {
  if (rootfs.kind === 'directory') return [rootfs.path];
  // Upper and work directory must stay on one mount.
  return rootfs.trees ?? [rootfs.lowerBase, dirname(rootfs.upper)];
}

function mappedBind(path: string, map: readonly number[]): PlannedStep {
  const step: Step = {
    op: 'bind',
    source: path,
    subpath: '',
    target: path,
    recursive: false,
    flags: 0,
    recursiveReadOnly: false,
    propagation: 0,
    create: false,
    taken: 0,
    uidMap: map,
    gidMap: map,
  };
  return planned(step, 'on disk owners stay what they are inside', `map the owners of ${path}`);
}

/** `user`: the id, inside, of the process that is to be. */
export function enterUserNamespace({ base }: IdRange, user: number, spec: RuntimeSpec): PlannedStep[] {
  const own = (type: string): boolean => spec.linux.namespaces.some((namespace) => namespace.type === type && namespace.path === undefined);
  const flags = CLONE_NEWNS | (own('uts') ? CLONE_NEWUTS : 0);
  return [
    ownStdio(base + user),
    planned({ op: 'enter-user-namespace' }, 'nothing that follows has rights on the host', 'enter the user namespace'),
    becomeRoot,
    planned(
      { op: 'unshare', flags },
      'its root may mount, and unmount nothing of ours',
      'make namespaces that belong to the user namespace',
    ),
  ];
}

/** In `before` of an exec: by the host's root. */
export function ownStdio(uid: number): PlannedStep {
  return planned({ op: 'own-stdio', uid }, '/dev/stdout can be opened again', 'give the streams to the user of the process');
}

/** Whoever enters a user namespace is nobody in it. */
export const becomeRoot: PlannedStep = planned(
  { op: 'user', uid: 0, gid: 0, groups: [], umask: 0 },
  'to do the rest as root of the user namespace',
  'become root of the user namespace',
);

/** Owners in steps done by the host's root, who needs its own numbers for them. */
export function shiftOwners(steps: readonly PlannedStep[], range: IdRange | null): PlannedStep[] {
  return range === null ? [...steps] : steps.map((planned) => ({ ...planned, step: shifted(planned.step, range) }));
}

function shifted(step: Step, range: IdRange): Step {
  switch (step.op) {
    case 'mkdir':
    case 'mknod':
      return { ...step, uid: hostId(step.uid, range), gid: hostId(step.gid, range) };
    case 'mount':
    case 'mount-tmpfs-copyup':
      return {
        ...step,
        data: step.data.replace(/(^|,)([ug]id)=(\d+)/g, (_, before, name, id) => `${before}${name}=${hostId(Number(id), range)}`),
      };
    default:
      return step;
  }
}

function hostId(id: number, { base, size }: IdRange): number {
  if (id >= size) throw invalid(`The id ${id} is not in the container's user namespace, which has ${size} ids`);
  return base + id;
}

function planned(step: Step, reason: string, failure: string): PlannedStep {
  return { step, reason, failure };
}
