/** The mount that a path of ours lies on: its file system, and whether mounts travel through it (/proc/self/mountinfo, see proc_pid_mountinfo(5)). */
import { readFileSync, realpathSync } from 'node:fs';
import { decodeName } from '../base/byte-name.ts';

export interface MountOfPath {
  readonly mountPoint: string;
  readonly fileSystem: string;
  /** A member of a peer group: what is mounted below it appears in the others. */
  readonly shared: boolean;
  /** What is mounted in its peer group appears here. */
  readonly slave: boolean;
}

/** The path must exist; links are followed. Short reads of /proc only. */
export function mountOfPath(path: string): MountOfPath {
  return findMount(readFileSync('/proc/self/mountinfo', 'latin1'), realpathSync(path));
}

/** The innermost mount point above the path; of several on top of each other the last one made. */
export function findMount(mountinfo: string, path: string): MountOfPath {
  let found: MountOfPath | null = null;
  for (const line of mountinfo.split('\n')) {
    const mount = parseLine(line);
    if (mount !== null && contains(mount.mountPoint, path) && mount.mountPoint.length >= (found?.mountPoint.length ?? 0)) found = mount;
  }
  return found ?? { mountPoint: '/', fileSystem: 'unknown', shared: false, slave: false };
}

function contains(mountPoint: string, path: string): boolean {
  return mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`);
}

/** `36 35 98:0 ROOT MOUNTPOINT options [optional fields] - TYPE SOURCE superoptions` */
function parseLine(line: string): MountOfPath | null {
  const fields = line.split(' ');
  const separator = fields.indexOf('-', 6);
  const [mountPoint, fileSystem] = [fields[4], fields[separator + 1]];
  if (separator === -1 || mountPoint === undefined || fileSystem === undefined) return null;
  const optional = fields.slice(6, separator);
  const has = (name: string): boolean => optional.some((field) => field.startsWith(`${name}:`));
  return { mountPoint: unescaped(mountPoint), fileSystem, shared: has('shared'), slave: has('master') };
}

/** Space, tab, newline and backslash stand as three octal digits. */
function unescaped(field: string): string {
  const bytes = field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return decodeName(Buffer.from(bytes, 'latin1'));
}
