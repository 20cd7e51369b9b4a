/**
 * OCI runtime spec → plan (`plan.ts`): which privileged steps make the container's process, in which order. Pure: the native side only carries them out.
 *
 * The order, and why:
 *
 *   oom score, cgroups      while /proc and /sys/fs/cgroup are the host's; a cgroup must be joined before a cgroup namespace is made, or its root is the daemon's
 *   network                 a joined one, before anything that shows or sets a part of it (sysfs, sysctls)
 *   shared trees            before the mounts are parted from those of the host
 *   propagation             before the first mount, so that none reaches the host
 *   root, mounts, devices   below the new root, resolved inside it (RESOLVE_IN_ROOT): an image's links lead nowhere
 *   working directory       made before the root may become read-only
 *   hooks                   of the host: the root is there, and the host's files too
 *   pivot                   the host's tree is gone from here on
 *   terminal                in the container's own devpts
 *   sysctls                 before /proc/sys becomes read-only
 *   read-only, masks        after everything that writes below /proc and /sys
 *   read-only root          after the last mount point was made
 *   limits                  late: a small limit on files or processes must not break the set-up
 *   hooks                   of the container: each is confined as the process will be
 *   the process             see `process-steps.ts`
 */
import { existsSync } from 'node:fs';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  MS_PRIVATE,
  MS_REC,
  MS_SLAVE,
} from '../linux/constants.ts';
import type { NamespaceType, RuntimeSpec } from '../oci/runtime-spec.ts';
import { checkExecSpec, checkSpec } from './check-spec.ts';
import { deviceSteps } from './device-steps.ts';
import { checkpointSteps, createContainerSteps, startContainerSteps } from './hooks.ts';
import { type CgroupView, mountSteps, takenBinds, takeTreeStep } from './mount-steps.ts';
import type { Join, Plan, PlannedStep, Step } from './plan.ts';
import { limitSteps, processSteps, terminalStep } from './process-steps.ts';
import type { Rootfs } from './runtime.ts';
import type { Architecture } from './seccomp/syscall-table.ts';
import { sysctlPath } from './sysctl-names.ts';
import { becomeRoot, enterUserNamespace, type IdRange, idRangeOf, ownStdio, prepareUserNamespace, shiftOwners } from './user-namespace.ts';

export interface PlanContext {
  /** Names the session keyring. */
  readonly id: string;
  readonly rootfs: Rootfs;
  /** Where the `config.json` for hooks lies. */
  readonly bundle: string;
  readonly cgroup: CgroupView;
  /** `tasks` files of its Intel RDT group; default: none. */
  readonly resctrl?: readonly string[];
  readonly architecture: Architecture;
  /** Whether the kernel has /proc/kcore, which /dev/core points to. */
  readonly hasKcore?: boolean;
}

export type ExecPlanContext = Omit<PlanContext, 'rootfs' | 'bundle' | 'hasKcore'>;

const overlayOptions = 'redirect_dir=off,metacopy=off,index=off';
const kernelHasKcore = existsSync('/proc/kcore');

export function compilePlan(spec: RuntimeSpec, context: PlanContext): Plan {
  checkSpec(spec);
  const joins = namespaceJoins(spec);
  const range = idRangeOf(spec.linux);
  const early = [...cgroupJoins(context.cgroup), ...resctrlJoins(context), oomScoreStep(spec)];
  return {
    // A user namespace is entered last, by a step of its own.
    cloneFlags: newNamespaces(spec) & ~(CLONE_NEWCGROUP | CLONE_NEWUSER),
    cgroup2: context.cgroup.v2Directory,
    before: joins.length > 0 ? early : [],
    joins,
    steps: [
      ...(joins.length > 0 ? [] : early),
      ...networkSteps(spec),
      ...cgroupNamespaceSteps(spec),
      ...takenBinds(spec.mounts).map(takeTreeStep),
      ...rootSteps(spec, context.rootfs, range),
      ...shiftOwners([...mountedSteps(spec, context), ...workingDirectorySteps(spec)], range),
      ...checkpointSteps(spec),
      ...createContainerSteps(spec, context),
      planned({ op: 'pivot' }, "the host's tree goes out of reach", "make the container's root the root directory"),
      ...(spec.process.terminal === true ? [terminalStep(spec.process, true)] : []),
      ...sysctlSteps(spec),
      ...hiddenPathSteps(spec),
      ...nameSteps(spec),
      ...(ownsNew(spec, 'network') ? [planned({ op: 'loopback-up' }, 'localhost works', 'bring up the loopback device')] : []),
      ...(spec.root.readonly === true
        ? [planned({ op: 'readonly-root' }, 'a read-only root was asked for', 'make the root read-only')]
        : []),
      ...limitSteps(spec),
      ...(range === null ? [] : enterUserNamespace(range, spec.process.user.uid, spec)),
      ...startContainerSteps(spec, context),
      ...processSteps(spec, context),
    ],
  };
}

/** A further process in a running container: `spec.process` is the exec's, the rest the container's. */
export function compileExecPlan(spec: RuntimeSpec, context: ExecPlanContext): Plan {
  checkExecSpec(spec);
  const types = spec.linux.namespaces.map(({ type }) => namespaceFlags[type]);
  const range = idRangeOf(spec.linux);
  const atHost = range === null ? [] : [...limitSteps(spec), ownStdio(range.base + spec.process.user.uid)];
  return {
    cloneFlags: 0,
    cgroup2: context.cgroup.v2Directory,
    before: [...cgroupJoins(context.cgroup), ...resctrlJoins(context), oomScoreStep(spec), ...atHost],
    joins: [{ kind: 'init', nstypes: types.reduce((all, flag) => all | flag, 0) }],
    steps: [
      ...(range === null ? [] : [becomeRoot]),
      ...(spec.process.terminal === true ? [terminalStep(spec.process, false)] : []),
      ...(range === null ? limitSteps(spec) : []),
      ...processSteps(spec, context),
    ],
  };
}

function planned(step: Step, reason: string, failure: string): PlannedStep {
  return { step, reason, failure };
}

/** `time` is refused by `checkSpec`. */
const namespaceFlags: Readonly<Record<NamespaceType, number>> = {
  pid: CLONE_NEWPID,
  network: CLONE_NEWNET,
  mount: CLONE_NEWNS,
  ipc: CLONE_NEWIPC,
  uts: CLONE_NEWUTS,
  cgroup: CLONE_NEWCGROUP,
  user: CLONE_NEWUSER,
  time: 0,
};

function newNamespaces(spec: RuntimeSpec): number {
  return spec.linux.namespaces.filter(({ path }) => path === undefined).reduce((flags, { type }) => flags | namespaceFlags[type], 0);
}

function ownsNew(spec: RuntimeSpec, type: NamespaceType): boolean {
  return spec.linux.namespaces.some((namespace) => namespace.type === type && namespace.path === undefined);
}

/** By the middle process. A network namespace alone is joined by the child itself, which saves one. */
function namespaceJoins(spec: RuntimeSpec): Join[] {
  if (joinedNetwork(spec) !== null) return [];
  return spec.linux.namespaces.flatMap(({ type, path }) =>
    path === undefined ? [] : [{ kind: 'path' as const, path, nstype: namespaceFlags[type] }],
  );
}

/** Path of the network namespace when it is the only one that is joined. */
function joinedNetwork({ linux: { namespaces } }: RuntimeSpec): string | null {
  const joined = namespaces.filter(({ path }) => path !== undefined);
  return joined.length === 1 && joined[0]?.type === 'network' ? (joined[0].path ?? null) : null;
}

function networkSteps(spec: RuntimeSpec): PlannedStep[] {
  const path = joinedNetwork(spec);
  if (path === null) return [];
  return [planned({ op: 'join', path, nstype: CLONE_NEWNET }, 'its network is prepared', `enter the network namespace ${path}`)];
}

/** A process without threads writing itself into `tasks` does not wait for the kernel's grace period, as writing another pid to `cgroup.procs` does. */
function cgroupJoins(cgroup: CgroupView): PlannedStep[] {
  return cgroup.joinFiles.map((path) =>
    planned({ op: 'write-file', path, data: '0', optional: false }, 'limits hold from the first instruction', `join the cgroup ${path}`),
  );
}

function resctrlJoins({ resctrl = [] }: Pick<PlanContext, 'resctrl'>): PlannedStep[] {
  return resctrl.map((path) =>
    planned(
      { op: 'write-file', path, data: '0', optional: false },
      'its share of cache and memory bandwidth',
      `join the Intel RDT group ${path}`,
    ),
  );
}

/** Always written: without it a container would inherit the daemon's own protection from the OOM killer. */
function oomScoreStep({ process }: RuntimeSpec): PlannedStep {
  const data = String(process.oomScoreAdj ?? 0);
  return planned(
    { op: 'write-file', path: '/proc/self/oom_score_adj', data, optional: false },
    'the OOM killer chooses by it',
    `set the OOM score adjustment to ${data}`,
  );
}

function cgroupNamespaceSteps(spec: RuntimeSpec): PlannedStep[] {
  if (!ownsNew(spec, 'cgroup')) return [];
  const step = { op: 'unshare', flags: CLONE_NEWCGROUP } as const;
  return [planned(step, 'its root is the cgroup just joined', 'make a cgroup namespace')];
}

function rootSteps(spec: RuntimeSpec, rootfs: Rootfs, range: IdRange | null): PlannedStep[] {
  const slave = /slave|shared/.test(spec.linux.rootfsPropagation ?? '');
  const propagation = planned(
    { op: 'propagation', flags: MS_REC | (slave ? MS_SLAVE : MS_PRIVATE) },
    slave ? 'mounts of the host arrive, none of ours leaves' : 'no mount of ours reaches the host',
    'separate the mounts from those of the host',
  );
  const mapped = range === null ? [] : prepareUserNamespace(range, rootfs);
  if (rootfs.kind === 'directory') {
    return [
      propagation,
      ...mapped,
      planned({ op: 'bind-root', source: rootfs.path }, 'pivot needs a mount', `use ${rootfs.path} as the root`),
    ];
  }
  return [propagation, ...mapped, overlayStep(rootfs)];
}

export function overlayStep(rootfs: Extract<Rootfs, { kind: 'overlay' }>): PlannedStep {
  const { target, lowerBase, lowers, upper, work } = rootfs;
  const options = rootfs.volatile === true ? `${overlayOptions},volatile` : overlayOptions;
  const overlay = { op: 'overlay', target, lowerBase, lowers, upper, work, options } as const;
  return planned(overlay, "image layers below the container's own", 'mount the root file system');
}

/** Device nodes come right after /dev is mounted: later mounts below it may cover them. */
function mountedSteps(spec: RuntimeSpec, context: PlanContext): PlannedStep[] {
  const devIsOurs = spec.mounts.some(isDevTmpfs);
  const devices = deviceSteps(spec, { ownDev: devIsOurs, hasKcore: context.hasKcore ?? kernelHasKcore });
  const shared = takenBinds(spec.mounts);
  return [
    ...spec.mounts.flatMap((mount) => [
      ...mountSteps(mount, context.cgroup, shared.indexOf(mount) + 1),
      ...(isDevTmpfs(mount) ? devices : []),
    ]),
    ...(devIsOurs ? [] : devices),
  ];
}

function isDevTmpfs(mount: RuntimeSpec['mounts'][number]): boolean {
  return mount.destination === '/dev' && mount.type === 'tmpfs';
}

/**
 * Docker makes a missing WORKDIR. Resolved below the new root without magic links, so that /proc/self/fd/N as working directory ends here (CVE-2024-21626).
 */
function workingDirectorySteps({ process: { cwd } }: RuntimeSpec): PlannedStep[] {
  if (cwd === '/') return [];
  const step = { op: 'mkdir', target: cwd, mode: 0o755, uid: 0, gid: 0 } as const;
  return [planned(step, 'the working directory is made when it is missing', `make the working directory ${cwd}`)];
}

function sysctlSteps(spec: RuntimeSpec): PlannedStep[] {
  return Object.entries(spec.linux.sysctl ?? {}).map(([name, data]) => {
    const step = { op: 'write-file', path: `/proc/sys/${sysctlPath(name)}`, data, optional: false } as const;
    return planned(step, 'in a namespace of the container only', `set the sysctl ${name} to "${data}"`);
  });
}

function hiddenPathSteps({ linux }: RuntimeSpec): PlannedStep[] {
  return [
    ...(linux.readonlyPaths ?? []).map((target) =>
      planned({ op: 'readonly', target }, 'changes the whole host', `make ${target} read-only`),
    ),
    ...(linux.maskedPaths ?? []).map((target) => planned({ op: 'mask', target }, 'tells about the host', `mask ${target}`)),
  ];
}

function nameSteps({ hostname, domainname }: RuntimeSpec): PlannedStep[] {
  return [
    ...(hostname === undefined
      ? []
      : [planned({ op: 'hostname', name: hostname }, "the container's name", `set the hostname "${hostname}"`)]),
    ...(domainname === undefined
      ? []
      : [planned({ op: 'domainname', name: domainname }, 'the NIS domain', `set the domain name "${domainname}"`)]),
  ];
}
