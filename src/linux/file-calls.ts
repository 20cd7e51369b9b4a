/**
 * File system calls that Node lacks: everything relative to an open directory, and what has no Node call at all (devices, extended times).
 * Names are strings as `base/byte-name.ts` makes them; the caller has checked that they hold no NUL.
 */
import { constants, fstatSync } from 'node:fs';
import { decodeName, encodeCString } from '../base/byte-name.ts';
import { bind, checked, isErrno } from './ffi.ts';

export const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;

/** Those of Node where it has them (O_DIRECTORY and O_NOFOLLOW differ between architectures); the others are the same on x86-64 and arm64. */
export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;
export const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_DIRECTORY, O_NONBLOCK } = constants;
export const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO } = constants;

/** Of openat2(2). */
export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;
export const RESOLVE_IN_ROOT = 0x10;

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

const SYS_OPENAT2 = 437;

const native = {
  openat: bind('openat', 'int', ['int', 'void *', 'int', 'uint']),
  openat2: bind('syscall', 'long', ['long', 'int', 'void *', 'void *', 'size_t']),
  mkdirat: bind('mkdirat', 'int', ['int', 'void *', 'uint']),
  mknodat: bind('mknodat', 'int', ['int', 'void *', 'uint', 'uint64_t']),
  readlinkat: bind('readlinkat', 'long', ['int', 'void *', 'void *', 'size_t']),
  symlinkat: bind('symlinkat', 'int', ['void *', 'int', 'void *']),
  linkat: bind('linkat', 'int', ['int', 'void *', 'int', 'void *', 'int']),
  unlinkat: bind('unlinkat', 'int', ['int', 'void *', 'int']),
  renameat2: bind('renameat2', 'int', ['int', 'void *', 'int', 'void *', 'uint']),
  fchownat: bind('fchownat', 'int', ['int', 'void *', 'uint', 'uint', 'int']),
  fchmodat: bind('fchmodat', 'int', ['int', 'void *', 'uint', 'int']),
  utimensat: bind('utimensat', 'int', ['int', 'void *', 'void *', 'int']),
  futimens: bind('futimens', 'int', ['int', 'void *']),
  close: bind('close', 'int', ['int']),
  syncfs: bind('syncfs', 'int', ['int']),
};

/** `struct open_how` and `struct timespec[2]`, filled anew for every call: a thread makes one at a time. */
const openHow = new BigUint64Array(3);
const openHowBytes = new Uint8Array(openHow.buffer);
const times = new BigInt64Array(4);
const timesBytes = new Uint8Array(times.buffer);

/** For what `openAt` and `openAt2` opened: in worker threads Node warns when its own `closeSync` closes what it did not open. */
export function closeDescriptor(descriptor: number): void {
  checked(native.close(descriptor), 'close', `fd ${descriptor}`);
}

/** The result is the caller's to close (`closeDescriptor`). Always close-on-exec. */
export function openAt(directory: number, name: string, flags: number, mode = 0): number {
  return checked(native.openat(directory, encodeCString(name), flags | O_CLOEXEC, mode), 'openat', name);
}

/** Like `openAt`, with the kernel holding the path inside `directory` as `resolve` says. Lost races with renames are tried again. */
export function openAt2(directory: number, path: string, flags: number, resolve: number, mode = 0): number {
  const bytes = encodeCString(path);
  openHow[0] = BigInt(flags | O_CLOEXEC);
  openHow[1] = BigInt(mode);
  openHow[2] = BigInt(resolve);
  for (let attempt = 1; ; attempt++) {
    try {
      return checked(native.openat2(SYS_OPENAT2, directory, bytes, openHowBytes, openHowBytes.length), 'openat2', path);
    } catch (error) {
      if (attempt === 64 || !isErrno(error, 'EAGAIN', 'EINTR')) throw error;
    }
  }
}

export function makeDirectoryAt(directory: number, name: string, mode: number): void {
  checked(native.mkdirat(directory, encodeCString(name), mode), 'mkdirat', name);
}

/** `mode` holds the type (S_IFCHR, S_IFIFO, …) too. */
export function makeNodeAt(directory: number, name: string, mode: number, major = 0, minor = 0): void {
  checked(native.mknodat(directory, encodeCString(name), mode, deviceNumber(major, minor)), 'mknodat', name);
}

export function makeSymbolicLinkAt(target: string, directory: number, name: string): void {
  checked(native.symlinkat(encodeCString(target), directory, encodeCString(name)), 'symlinkat', name);
}

const linkText = Buffer.alloc(4096);

/** Of the symbolic link that an O_PATH descriptor pins. */
export function readPinnedLink(pinned: number): string {
  const length = checked(native.readlinkat(pinned, encodeCString(''), linkText, linkText.length), 'readlinkat', `fd ${pinned}`);
  return decodeName(linkText.subarray(0, length));
}

/** A symbolic link as source is linked itself, never followed. */
export function linkAt(fromDirectory: number, fromName: string, toDirectory: number, toName: string): void {
  checked(native.linkat(fromDirectory, encodeCString(fromName), toDirectory, encodeCString(toName), 0), 'linkat', toName);
}

export function unlinkAt(directory: number, name: string): void {
  checked(native.unlinkat(directory, encodeCString(name), 0), 'unlinkat', name);
}

export function removeDirectoryAt(directory: number, name: string): void {
  checked(native.unlinkat(directory, encodeCString(name), AT_REMOVEDIR), 'rmdir', name);
}

export function renameAt(fromDirectory: number, fromName: string, toDirectory: number, toName: string, flags = 0): void {
  checked(native.renameat2(fromDirectory, encodeCString(fromName), toDirectory, encodeCString(toName), flags), 'renameat2', fromName);
}

export function changeOwnerAt(directory: number, name: string, uid: number, gid: number): void {
  checked(native.fchownat(directory, encodeCString(name), uid, gid, AT_SYMLINK_NOFOLLOW), 'fchownat', name);
}

/** Follows a symbolic link: only for a name that the caller has just made, or knows to be none. */
export function changeModeAt(directory: number, name: string, mode: number): void {
  checked(native.fchmodat(directory, encodeCString(name), mode, 0), 'fchmodat', name);
}

/** Of what an open descriptor is, O_PATH too (but not of a symbolic link): nobody can put something else in its place meanwhile. */
export function changeModeOfPinned(pinned: number, mode: number): void {
  checked(native.fchmodat(AT_FDCWD, encodeCString(`/proc/self/fd/${pinned}`), mode, 0), 'fchmodat', `fd ${pinned}`);
}

/** Opens a regular file for reading; null when it is gone or something else now. Neither blocks on a FIFO nor wakes up a device. */
export function openRegularFile(directory: number, name: string): number | null {
  let pinned: number;
  try {
    pinned = openAt(directory, name, O_PATH | O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
  try {
    return fstatSync(pinned).isFile() ? openAt(AT_FDCWD, `/proc/self/fd/${pinned}`, O_RDONLY) : null;
  } finally {
    closeDescriptor(pinned);
  }
}

/** Whether something is mounted on a name; what is mounted elsewhere only (in another mount namespace) the kernel lets us remove. */
export function isMountPoint(directory: number, name: string): boolean {
  try {
    closeDescriptor(openAt2(directory, name, O_PATH | O_NOFOLLOW, RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS));
    return false;
  } catch (error) {
    if (isErrno(error, 'EXDEV')) return true;
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

export interface FileTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Sets access and modification time alike; never follows a symbolic link. */
export function setTimesAt(directory: number, name: string, time: FileTime): void {
  checked(native.utimensat(directory, encodeCString(name), timesOf(time), AT_SYMLINK_NOFOLLOW), 'utimensat', name);
}

/** Of an open file; not for O_PATH descriptors. */
export function setTimes(file: number, time: FileTime): void {
  checked(native.futimens(file, timesOf(time)), 'futimens', `fd ${file}`);
}

/** Writes everything of the file system that `file` is on to the disk, and waits. */
export function syncFileSystem(file: number): void {
  checked(native.syncfs(file), 'syncfs', `fd ${file}`);
}

/** The path of `name` in an open directory for calls of Node's `fs`. Safe when `name` is one component and the call doesn't follow a link there. */
export function pathAt(directory: number, name: string): string | Buffer {
  const path = `/proc/self/fd/${directory}/${name}`;
  return path.isWellFormed() ? path : encodeCString(path).subarray(0, -1);
}

/** As the C library's makedev: the kernel's numbers of major and minor may be larger than 8 bits. */
export function deviceNumber(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}

export function majorOf(device: bigint): number {
  return Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
}

export function minorOf(device: bigint): number {
  return Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
}

/** A `…Ns` value of Node's exact stats; negative before 1970, the nanoseconds always counted forwards. */
export function fileTimeOf(nanosecondsSince1970: bigint): FileTime {
  const nanoseconds = ((nanosecondsSince1970 % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((nanosecondsSince1970 - nanoseconds) / 1_000_000_000n), nanoseconds: Number(nanoseconds) };
}

function timesOf(time: FileTime): Uint8Array {
  times[0] = times[2] = BigInt(time.seconds);
  times[1] = times[3] = BigInt(time.nanoseconds);
  return timesBytes;
}
