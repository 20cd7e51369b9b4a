/**
 * An overlay that nobody sees: made with the new mount API, never attached anywhere, held by its descriptor alone and gone with it (also when we die).
 * Kernels before 6.5 take layers one by one in mount(2) only: there it is attached for the moment that a detached copy takes.
 */
import { release } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { encodeCString } from '../base/byte-name.ts';
import { EngineError } from '../base/errors.ts';
import { bind, checked, isErrno } from './ffi.ts';
import { AT_FDCWD, closeDescriptor, O_CLOEXEC } from './file-calls.ts';
import { MNT_DETACH, mount, UMOUNT_NOFOLLOW, unmount } from './mount-calls.ts';

export interface OverlayLayers {
  /** Topmost first, relative to `base` or absolute; two at least where there is no `upper`. */
  readonly base: string;
  readonly lowers: readonly string[];
  /** Null: read-only. */
  readonly upper: string | null;
  /** For the kernel alone: no other mount may have it at the same time. */
  readonly work: string | null;
}

const SYS_OPEN_TREE = 428;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const CLOEXEC = 1;
const OPEN_TREE_CLONE = 1;
const MOUNT_ATTR_RDONLY = 1;
const MOUNT_ATTR_NODEV = 4;

const native = {
  fsopen: bind('syscall', 'long', ['long', 'void *', 'uint']),
  fsconfig: bind('syscall', 'long', ['long', 'int', 'uint', 'void *', 'void *', 'int']),
  fsmount: bind('syscall', 'long', ['long', 'int', 'uint', 'uint']),
  openTree: bind('syscall', 'long', ['long', 'int', 'void *', 'uint']),
};

/** Neither a redirect nor metadata alone may get into an upper directory: diff and commit read it. */
const options = ['redirect_dir=off', 'metacopy=off', 'index=off'] as const;

/** Asked of the version, as in native/mounts.c: an older kernel would write a complaint into its log each time. */
const knowsLayers = versionReaches(release(), 6, 5);

function versionReaches(version: string, wantedMajor: number, wantedMinor: number): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number.parseFloat);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** An O_PATH descriptor of its root, the caller's to close. `mountPoint`: an empty directory, for old kernels. */
export function openOverlay(layers: OverlayLayers, mountPoint: string): number {
  if (!knowsLayers) return overlayByNames(layers, mountPoint);
  try {
    return overlayByLayers(layers);
  } catch (error) {
    if (!isErrno(error, 'ENOSYS', 'EINVAL')) throw error;
    return overlayByNames(layers, mountPoint);
  }
}

function overlayByLayers({ base, lowers, upper, work }: OverlayLayers): number {
  const context = checked(native.fsopen(SYS_FSOPEN, encodeCString('overlay'), CLOEXEC), 'fsopen', 'overlay');
  const set = (key: string, value: string) =>
    checked(
      native.fsconfig(SYS_FSCONFIG, context, FSCONFIG_SET_STRING, encodeCString(key), encodeCString(value), 0),
      'fsconfig',
      `${key}=${value}`,
    );
  try {
    set('source', 'overlay');
    for (const lower of lowers) set('lowerdir+', isAbsolute(lower) ? lower : join(base, lower));
    if (upper !== null && work !== null) {
      set('upperdir', upper);
      set('workdir', work);
    }
    for (const option of options) set(...(option.split('=') as [string, string]));
    checked(native.fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0), 'fsconfig create', 'overlay');
    const attributes = MOUNT_ATTR_NODEV | (upper === null ? MOUNT_ATTR_RDONLY : 0);
    return checked(native.fsmount(SYS_FSMOUNT, context, CLOEXEC, attributes), 'fsmount', 'overlay');
  } finally {
    closeDescriptor(context);
  }
}

/** Exported for its test: newer kernels never come here. */
export function overlayByNames({ base, lowers, upper, work }: OverlayLayers, mountPoint: string): number {
  const names = lowers.map((lower) => escaped(isAbsolute(lower) ? lower : join(base, lower))).join(':');
  const writable = upper === null || work === null ? [] : [`upperdir=${escaped(upper)}`, `workdir=${escaped(work)}`];
  const data = [`lowerdir=${names}`, ...writable, ...options].join(',');
  if (Buffer.byteLength(data) > 4000) {
    throw new EngineError(
      'system',
      `this kernel (before 6.5) can't show ${lowers.length} layers of so long names at once: use a shorter data root`,
    );
  }
  const readOnly = upper === null ? 1 : 0;
  mount({ source: 'overlay', target: mountPoint, type: 'overlay', flags: readOnly | MOUNT_ATTR_NODEV, data });
  try {
    return checked(
      native.openTree(SYS_OPEN_TREE, AT_FDCWD, encodeCString(mountPoint), OPEN_TREE_CLONE | O_CLOEXEC),
      'open_tree',
      mountPoint,
    );
  } finally {
    unmount(mountPoint, MNT_DETACH | UMOUNT_NOFOLLOW);
  }
}

/** The overlay reads "\" as an escape, and "," and ":" as separators. */
function escaped(path: string): string {
  return path.replace(/[\\,:]/g, '\\$&');
}
