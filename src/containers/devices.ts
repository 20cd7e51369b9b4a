/**
 * `--device`, `--device-cgroup-rule`, `--privileged` and granted devices: device nodes and rules of a spec. Which nodes a host path stands for is found by `hostDevices`.
 * One node a path: what the user maps there himself wins over granted devices, and these over what `--privileged` shows of the host.
 */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { hasErrnoCode, invalid } from '../base/errors.ts';
import type { DeviceNode } from '../devices/device-edits.ts';
import { majorOf, minorOf } from '../linux/file-calls.ts';
import type { Device, DeviceRule } from '../oci/runtime-spec.ts';
import type { HostConfig } from './config.ts';
import { deviceNameOf } from './named-devices.ts';

/** Device nodes at and below a host path; null when there is nothing at all. */
export type FindDevices = (path: string) => readonly Device[] | null;

/** Docker's list: what every container may open (and 10:229, fuse, expressly not). */
const defaultRules: readonly DeviceRule[] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 1, access: 'rwm' },
  { allow: false, type: 'c', major: 10, minor: 229, access: 'rwm' },
];

/**
 * What every OCI runtime adds after a spec's rules, here so that the spec says all: any node may be made (not opened), `full`, and the container's own terminals.
 * Unlike runc before 1.2, 10:200 (tun) is not among them.
 */
const runtimeRules: readonly DeviceRule[] = [
  { allow: true, type: 'c', major: -1, minor: -1, access: 'm' },
  { allow: true, type: 'b', major: -1, minor: -1, access: 'm' },
  { allow: true, type: 'c', major: 1, minor: 7, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 2, access: 'rwm' },
  { allow: true, type: 'c', major: 136, minor: -1, access: 'rwm' },
];

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

type DeviceRequest = Pick<HostConfig, 'Privileged' | 'Devices' | 'DeviceCgroupRules'>;

export interface DeviceAccess {
  readonly devices: readonly Device[];
  readonly rules: readonly DeviceRule[];
}

/** `owner`: of granted nodes that have none of their own. */
export function deviceAccess(
  hostConfig: DeviceRequest,
  find: FindDevices,
  nodes: readonly DeviceNode[] = [],
  owner: Owner = { uid: 0, gid: 0 },
): DeviceAccess {
  const paths = (hostConfig.Devices ?? []).filter((mapping) => deviceNameOf(mapping) === null);
  const mappings = paths.map((mapping) => mappedDevices(mapping, find));
  const mapped = mappings.flatMap(({ devices }) => devices);
  const granted = withoutPathsOf(
    lastOfEachPath(nodes).map((node) => grantedDevice(node, owner)),
    mapped,
  );
  if (hostConfig.Privileged) {
    const own = withoutPathsOf(find('/dev') ?? [], granted);
    return { devices: [...own, ...withoutPathsOf(mapped, own), ...granted], rules: [{ allow: true, access: 'rwm' }] };
  }
  const rules = [...mappings.flatMap(({ rules }) => rules), ...nodes.flatMap(grantedRule)];
  const asked = (hostConfig.DeviceCgroupRules ?? []).map(parseDeviceRule);
  return { devices: [...mapped, ...granted], rules: [...defaultRules, ...rules, ...asked, ...runtimeRules] };
}

function withoutPathsOf(devices: readonly Device[], others: readonly Device[]): readonly Device[] {
  const taken = new Set(others.map(({ path }) => path));
  return devices.filter(({ path }) => !taken.has(path));
}

function lastOfEachPath(nodes: readonly DeviceNode[]): readonly DeviceNode[] {
  return [...new Map(nodes.map((node) => [node.path, node])).values()];
}

function grantedDevice({ path, type, major, minor, fileMode, uid, gid }: DeviceNode, owner: Owner): Device {
  return { path, type, major, minor, fileMode, uid: uid ?? owner.uid, gid: gid ?? owner.gid };
}

/** A FIFO is nothing that a device filter knows. */
function grantedRule({ type, major, minor, access }: DeviceNode): DeviceRule[] {
  return type === 'p' || access === '' ? [] : [{ allow: true, type: type === 'b' ? 'b' : 'c', major, minor, access }];
}

function mappedDevices(mapping: NonNullable<HostConfig['Devices']>[number], find: FindDevices): DeviceAccess {
  const access = mapping.CgroupPermissions || 'rwm';
  if (!isAccess(access)) throw invalid(`invalid device permissions: "${access}" for ${mapping.PathOnHost}: use r, w and m`);
  const inside = mapping.PathInContainer || mapping.PathOnHost;
  if (!posix.isAbsolute(inside)) throw invalid(`invalid device path in container: "${inside}" is not absolute`);
  const found = find(mapping.PathOnHost);
  if (found === null || found.length === 0) {
    const problem = found === null ? 'no such file or directory' : 'not a device node';
    throw invalid(`error gathering device information while adding custom device "${mapping.PathOnHost}": ${problem}`);
  }
  const devices = found.map((device) => ({ ...device, path: renamed(device.path, mapping.PathOnHost, inside) }));
  return { devices, rules: found.map(({ type, major, minor }) => ({ allow: true, type: type === 'b' ? 'b' : 'c', major, minor, access })) };
}

/** `/dev/snd` mapped to `/dev/sound` makes `/dev/snd/timer` `/dev/sound/timer`. */
function renamed(path: string, from: string, to: string): string {
  const rest = posix.relative(posix.normalize(from), path);
  return posix.join(to, rest);
}

/** `c 42:* rmw`. */
export function parseDeviceRule(text: string): DeviceRule {
  const rule = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(text);
  if (rule === null || !isAccess(rule[4] ?? '')) throw invalid(`invalid device cgroup rule format: '${text}'`);
  const number = (part: string | undefined): number => (part === '*' ? -1 : Number(part));
  return { allow: true, type: rule[1] as 'a' | 'c' | 'b', major: number(rule[2]), minor: number(rule[3]), access: rule[4] ?? '' };
}

function isAccess(text: string): boolean {
  return /^[rwm]{1,3}$/.test(text) && new Set(text).size === text.length;
}

/** Not devices of the host but of each container (its own devpts, shm, mqueue), or of other container systems. */
const skipped: ReadonlySet<string> = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev', 'console']);

/** Reads the device nodes at a path (followed when it is a link) or below a directory (links skipped). */
export function hostDevices(path: string): Device[] | null {
  try {
    const stats = statSync(path);
    if (!stats.isDirectory()) return nodeOf(path, stats);
    return readdirSync(path)
      .sort()
      .filter((name) => !skipped.has(name))
      .flatMap((name) => below(posix.join(path, name)));
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ENXIO')) return null;
    throw error;
  }
}

function below(path: string): Device[] {
  const stats = lstatSync(path);
  if (stats.isDirectory()) return hostDevices(path) ?? [];
  return nodeOf(path, stats);
}

function nodeOf(path: string, stats: ReturnType<typeof lstatSync> & object): Device[] {
  if (!stats.isCharacterDevice() && !stats.isBlockDevice()) return [];
  const device = BigInt(stats.rdev);
  return [
    {
      path,
      type: stats.isBlockDevice() ? 'b' : 'c',
      major: majorOf(device),
      minor: minorOf(device),
      fileMode: Number(stats.mode) & 0o777,
      uid: Number(stats.uid),
      gid: Number(stats.gid),
    },
  ];
}
