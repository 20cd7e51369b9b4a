/** Device nodes and links below /dev. Pure. */
import { posix } from 'node:path';
import { notImplemented } from '../base/errors.ts';
import { S_IFBLK, S_IFCHR, S_IFIFO } from '../linux/constants.ts';
import type { Device, RuntimeSpec } from '../oci/runtime-spec.ts';
import type { PlannedStep, Step } from './plan.ts';

/** OCI runtime specification, config-linux.md, "Default Devices". */
const defaultDevices: readonly Device[] = [
  { path: '/dev/null', type: 'c', major: 1, minor: 3 },
  { path: '/dev/zero', type: 'c', major: 1, minor: 5 },
  { path: '/dev/full', type: 'c', major: 1, minor: 7 },
  { path: '/dev/random', type: 'c', major: 1, minor: 8 },
  { path: '/dev/urandom', type: 'c', major: 1, minor: 9 },
  { path: '/dev/tty', type: 'c', major: 5, minor: 0 },
];

const links: readonly (readonly [string, string])[] = [
  ['/dev/ptmx', 'pts/ptmx'],
  ['/dev/fd', '/proc/self/fd'],
  ['/dev/stdin', '/proc/self/fd/0'],
  ['/dev/stdout', '/proc/self/fd/1'],
  ['/dev/stderr', '/proc/self/fd/2'],
];

export interface DeviceOptions {
  /** /dev is a fresh tmpfs of ours; a user's own /dev is left as it is, but for devices asked for. */
  readonly ownDev: boolean;
  readonly hasKcore: boolean;
}

export function deviceSteps(spec: RuntimeSpec, options: DeviceOptions): PlannedStep[] {
  const asked = (spec.linux.devices ?? []).filter(({ path }) => !options.ownDev || !isMadeOtherwise(path));
  const askedPaths = new Set(asked.map(({ path }) => path));
  const defaults = options.ownDev ? defaultDevices.filter(({ path }) => !askedPaths.has(path)) : [];
  const directories = new Set(asked.map(({ path }) => posix.dirname(path)).filter((path) => path !== '/' && path !== '/dev'));
  const made = options.hasKcore ? [...links, ['/dev/core', '/proc/kcore'] as const] : links;
  return [
    ...[...directories].map(directoryStep),
    ...[...defaults, ...asked].map(nodeStep),
    ...(options.ownDev ? made.map(([target, text]) => linkStep(target, text)) : []),
  ];
}

/** `ptmx` is a link into the container's own devpts, the console a bind of its terminal: the host's would lead out. */
function isMadeOtherwise(path: string): boolean {
  return path === '/dev/ptmx' || path === '/dev/console' || links.some(([target]) => target === path);
}

const fileTypes: Readonly<Record<Device['type'], number>> = { c: S_IFCHR, u: S_IFCHR, b: S_IFBLK, p: S_IFIFO };

function nodeStep({ path: target, type, major, minor, fileMode = 0o666, uid = 0, gid = 0 }: Device): PlannedStep {
  const fileType = fileTypes[type];
  if (fileType === undefined) throw notImplemented(`A device of type "${type}" (${target}) is not supported`);
  const step: Step = { op: 'mknod', target, mode: fileType | fileMode, major, minor, uid, gid };
  return { step, reason: 'a device the container may have', failure: `make the device ${target}` };
}

function directoryStep(target: string): PlannedStep {
  const step: Step = { op: 'mkdir', target, mode: 0o755, uid: 0, gid: 0 };
  return { step, reason: 'holds devices', failure: `make the directory ${target}` };
}

function linkStep(target: string, text: string): PlannedStep {
  return { step: { op: 'symlink', target, text }, reason: 'its usual name', failure: `link ${target}` };
}
