/**
 * The plans that have programs of an OCI runtime make, start, extend and forget a container. Pure.
 *
 *   create    in a mount namespace of its own: shared trees, separation from the host, staged mounts, the overlay; then `RUNTIME create`, which becomes the
 *             parent of the container's own namespaces. No mount of it is ever in the host's mount namespace.
 *   follow    `RUNTIME start`        farewell    `RUNTIME delete --force`        exec    `RUNTIME exec --detach`
 *
 * The last three need nothing of those mounts: the runtime keeps the container's state in files.
 */
import { join } from 'node:path';
import { CLONE_NEWNS, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE } from '../linux/constants.ts';
import type { Mount, RuntimeSpec } from '../oci/runtime-spec.ts';
import { overlayStep } from './compile-plan.ts';
import { mountSteps, takenBinds, takeTreeStep } from './mount-steps.ts';
import type { OciBundle } from './oci-config.ts';
import type { Plan, PlannedStep, Step } from './plan.ts';
import type { Rootfs } from './runtime.ts';

/** Of one container. */
export interface OciPlaces {
  readonly id: string;
  /** The program and what it gets before its command. */
  readonly program: string;
  readonly programArgs: readonly string[];
  /** The bundle: `config.json`, and all that the runtime keeps. */
  readonly directory: string;
  readonly patienceMs: number;
}

const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const noCgroup = { joinFiles: [], v2Directory: null, paths: {} };

export function ociPaths(directory: string, exec: string | null = null) {
  const name = exec === null ? 'init' : `exec-${exec.slice(0, 16)}`;
  return {
    pidFile: join(directory, `${name}.pid`),
    log: join(directory, `${name}.log`),
    process: join(directory, `${name}.json`),
    state: join(directory, 'state'),
    staging: join(directory, 'mounts'),
  };
}

export function ociCreatePlan(spec: RuntimeSpec, rootfs: Rootfs, bundle: OciBundle, places: OciPlaces, console: string | null): Plan {
  const { pidFile } = ociPaths(places.directory);
  const create = ['create', '--bundle', places.directory, '--pid-file', pidFile, ...consoleArgs(console), places.id];
  return {
    cloneFlags: CLONE_NEWNS,
    cgroup2: null,
    before: [],
    joins: [],
    steps: [...mountedSteps(spec, rootfs, bundle), ...programSteps(places, null, create)],
    takeover: {
      pidFile,
      console,
      patienceMs: places.patienceMs,
      follow: programPlan(places, ['start', places.id]),
      farewell: programPlan(places, ['delete', '--force', places.id]),
    },
  };
}

export function ociExecPlan(places: OciPlaces, exec: string, console: string | null): Plan {
  const { pidFile, process } = ociPaths(places.directory, exec);
  const args = ['exec', '--detach', '--process', process, '--pid-file', pidFile, ...consoleArgs(console), places.id];
  return {
    ...programPlan(places, args, exec),
    takeover: { pidFile, console, patienceMs: places.patienceMs, follow: null, farewell: null },
  };
}

function consoleArgs(console: string | null): string[] {
  return console === null ? [] : ['--console-socket', console];
}

function programPlan(places: OciPlaces, args: readonly string[], exec: string | null = null): Plan {
  return { cloneFlags: 0, cgroup2: null, before: [], joins: [], steps: programSteps(places, exec, args) };
}

function programSteps({ program, programArgs, directory }: OciPlaces, exec: string | null, args: readonly string[]): PlannedStep[] {
  const { log, state } = ociPaths(directory, exec);
  const argv = [program, ...programArgs, '--root', state, '--log', log, '--log-format', 'json', ...args];
  return [
    planned({ op: 'user', uid: 0, gid: 0, groups: [], umask: 0o022 }, 'files of the runtime are its own', 'set the umask'),
    planned({ op: 'exec', argv, env: [`PATH=${searchPath}`], path: searchPath }, 'the runtime does the rest', `run ${program}`),
  ];
}

function mountedSteps(spec: RuntimeSpec, rootfs: Rootfs, { staged }: OciBundle): PlannedStep[] {
  const shared = takenBinds(spec.mounts);
  const separation = /slave|shared/.test(spec.linux.rootfsPropagation ?? '') ? MS_SLAVE : MS_PRIVATE;
  const isStaged = (mount: Mount): boolean => staged.some((candidate) => candidate.mount === mount);
  return [
    ...shared.map(takeTreeStep),
    planned({ op: 'propagation', flags: MS_REC | separation }, 'no mount reaches the host', 'separate the mounts from those of the host'),
    ...shared.flatMap((mount, index) => (isStaged(mount) ? [] : [giveBackStep(mount, index + 1)])),
    ...staged.flatMap(({ mount, path }) => stagedSteps(mount, path, shared.indexOf(mount) + 1)),
    ...(rootfs.kind === 'overlay' ? [overlayStep(rootfs)] : []),
  ];
}

/** Over its own source: there the runtime finds a mount that still is the host's peer. */
function giveBackStep({ source = '' }: Mount, taken: number): PlannedStep {
  const step: Step = { ...plainBind, source, target: source, propagation: MS_SHARED | MS_REC, taken };
  return planned(step, 'mounts made in it reach the host', `keep ${source} shared`);
}

const plainBind = {
  op: 'bind',
  subpath: '',
  recursive: true,
  flags: 0,
  recursiveReadOnly: false,
  create: false,
  uidMap: [],
  gidMap: [],
} as const;

/** As the native runtime would mount it, but beside the root, and without what the runtime's own bind sets. */
function stagedSteps(mount: Mount, path: string, taken: number): PlannedStep[] {
  if (mount.type === 'layers') return mountSteps({ ...mount, destination: path }, noCgroup);
  const options = (mount.options ?? []).filter(
    (option) => option === 'bind' || option === 'rbind' || (taken > 0 && option.endsWith('shared')),
  );
  return mountSteps({ ...mount, destination: path, options }, noCgroup, taken);
}

function planned(step: Step, reason: string, failure: string): PlannedStep {
  return { step, reason, failure };
}
