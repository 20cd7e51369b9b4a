/**
 * A container's file tree, as its processes see it (or would see it), walked one name at a time by descriptors: a symbolic link is read and taken up by its
 * text inside the root, `..` goes back on the way we came, so nothing that a container swaps meanwhile leads outside. In worker threads only.
 *
 *   running:  /proc/INIT/root, where the kernel crosses the mounts
 *   resting:  a detached overlay; where a mount would be, its own root is taken
 */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { constants as os } from 'node:os';
import { printableName } from '../../base/byte-name.ts';
import { conflict, EngineError, invalid, SystemCallError } from '../../base/errors.ts';
import { openOverlay } from '../../linux/detached-overlay.ts';
import { isErrno } from '../../linux/ffi.ts';
import {
  AT_FDCWD,
  closeDescriptor,
  makeDirectoryAt,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_WRONLY,
  openAt,
  readPinnedLink,
} from '../../linux/file-calls.ts';
import { openInRoot, openRoot, readPinned } from '../../linux/path-in-root.ts';
import { componentsOf } from '../../store/layer-stack.ts';
import type { MountSource, RestingRoot, RootAccess, RunningRoot } from './root-access.ts';

/** Something found; `fd` is O_PATH and the caller's to close. */
export interface Place {
  readonly fd: number;
  /** Without links, from the root. */
  readonly path: readonly string[];
  readonly stats: BigIntStats;
}

export interface MountedRoot {
  /** O_PATH, the tree's. */
  readonly fd: number;
  readonly readOnly: boolean;
}

/** As the kernel's. */
const MAXIMUM_LINKS = 40;

export class ContainerTree {
  readonly #root: number;
  /** Of a running container: its init, pinned. */
  readonly #process: number | null;
  readonly #mounts = new Map<string, MountedRoot>();
  /** Directories that are on the way to a mount point and not there. */
  readonly #standIns = new Set<string>();
  #empty: number | null = null;

  private constructor(root: number, process: number | null) {
    this.#root = root;
    this.#process = process;
  }

  static open(access: RootAccess): ContainerTree {
    if (access.kind === 'running') return openRunning(access, (root, process) => new ContainerTree(root, process));
    const tree = new ContainerTree(openOverlay(access.overlay, access.empty), null);
    try {
      tree.#placeMounts(access);
      return tree;
    } catch (error) {
      tree.close();
      throw error;
    }
  }

  /** False: the container ended, and what was mounted in it is not to be seen any more. */
  get isComplete(): boolean {
    if (this.#process === null) return true;
    try {
      closeDescriptor(openAt(this.#process, 'root', O_PATH));
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH')) return false;
      throw error;
    }
  }

  close(): void {
    closeDescriptor(this.#root);
    if (this.#process !== null) closeDescriptor(this.#process);
    for (const { fd } of this.#mounts.values()) closeDescriptor(fd);
    this.#mounts.clear();
    if (this.#empty !== null) closeDescriptor(this.#empty);
    this.#empty = null;
  }

  /** `last`: a symbolic link as the last part is followed, or found itself. Throws ENOENT, ENOTDIR, ELOOP as the kernel would. */
  resolve(path: string, last: 'follow' | 'keep', from: readonly string[] = []): Place {
    const { place, missing } = this.#walk(path, last, from);
    if (missing === null) return place;
    closeDescriptor(place.fd);
    throw missing.error;
  }

  /** Where a path leads, all links followed; parts that don't exist are taken as they are written. */
  locate(path: string, from: readonly string[] = []): readonly string[] {
    const { place, missing } = this.#walk(path, 'follow', from);
    closeDescriptor(place.fd);
    if (missing === null) return place.path;
    const found = [...place.path];
    for (const name of missing.names) {
      if (name === '..') found.pop();
      else found.push(name);
    }
    return found;
  }

  /** The place of a path that holds no links; throws when it does by now. */
  exact(path: readonly string[]): Place {
    let place = this.#rootPlace();
    for (const name of path) {
      const next = this.#step(place, name);
      if (next.stats.isSymbolicLink()) {
        closeDescriptor(next.fd);
        throw tooManyLinks(name);
      }
      place = next;
    }
    return place;
  }

  /** Only of a resting container; in a running one the kernel knows. */
  mountedAt(path: readonly string[]): MountedRoot | null {
    return this.#mounts.size === 0 ? null : (this.#mounts.get(path.join('/')) ?? null);
  }

  /** That lies on or above the path. */
  mountOf(path: readonly string[]): MountedRoot | null {
    for (let length = path.length; length > 0; length--) {
      const mounted = this.mountedAt(path.slice(0, length));
      if (mounted !== null) return mounted;
    }
    return null;
  }

  /** Only of a resting container. */
  hasMountAtOrBelow(path: readonly string[]): boolean {
    const key = path.join('/');
    return this.#mounts.keys().some((mounted) => mounted === key || mounted.startsWith(`${key}/`));
  }

  /** The text of a regular file; null when there is none. */
  readText(path: string, maximumBytes: number): string | null {
    let place: Place;
    try {
      place = this.resolve(path, 'follow');
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return null;
      throw error;
    }
    try {
      return readPinned(place.fd, path, maximumBytes).toString();
    } finally {
      closeDescriptor(place.fd);
    }
  }

  #walk(
    path: string,
    last: 'follow' | 'keep',
    from: readonly string[],
  ): { readonly place: Place; readonly missing: { readonly names: readonly string[]; readonly error: unknown } | null } {
    if (path.includes('\0')) throw invalid('a path in a container holds a NUL byte');
    const pending = componentsOf(path).reverse();
    let place = path.startsWith('/') || from.length === 0 ? this.#rootPlace() : this.exact(from);
    for (let links = 0; pending.length > 0; ) {
      const name = pending.pop() ?? '';
      if (name === '..') {
        const above = place.path.slice(0, -1);
        closeDescriptor(place.fd);
        place = this.exact(above);
        continue;
      }
      const step = this.#tryStep(place, name);
      if (!('place' in step)) return { place, missing: { names: [name, ...pending.reverse()], error: step.error } };
      const next = step.place;
      if (!next.stats.isSymbolicLink() || (pending.length === 0 && last === 'keep')) {
        closeDescriptor(place.fd);
        place = next;
        continue;
      }
      const target = readLinkAndClose(next.fd);
      if (++links > MAXIMUM_LINKS) {
        return { place, missing: { names: [name, ...pending.reverse()], error: tooManyLinks(name) } };
      }
      pending.push(...componentsOf(target).reverse());
      if (!target.startsWith('/')) continue;
      closeDescriptor(place.fd);
      place = this.#rootPlace();
    }
    return { place, missing: null };
  }

  #tryStep(from: Place, name: string): { readonly place: Place } | { readonly error: unknown } {
    let fd: number;
    try {
      fd = this.#openStep(from, name);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG')) return { error };
      closeDescriptor(from.fd);
      throw error;
    }
    return { place: placeOf(fd, [...from.path, name]) };
  }

  /** Closes `from`, whatever happens. */
  #step(from: Place, name: string): Place {
    const step = this.#tryStep(from, name);
    if ('place' in step) {
      closeDescriptor(from.fd);
      return step.place;
    }
    closeDescriptor(from.fd);
    throw step.error;
  }

  #openStep(from: Place, name: string): number {
    if (this.#mounts.size > 0) {
      const key = [...from.path, name].join('/');
      const mounted = this.#mounts.get(key);
      if (mounted !== undefined) return openAgain(mounted.fd);
      if (this.#standIns.has(key) && this.#empty !== null) return openAgain(this.#empty);
    }
    return openAt(from.fd, name, O_PATH | O_NOFOLLOW);
  }

  #rootPlace(): Place {
    return placeOf(openAt(this.#root, '.', O_PATH | O_DIRECTORY), []);
  }

  /** Parents first, so that a mount may lie in another one. */
  #placeMounts({ mounts, makesMountPoints, empty }: RestingRoot): void {
    this.#empty = openRoot(empty);
    const depth = (path: string) => componentsOf(path).length;
    for (const { destination, readOnly, source } of mounts.toSorted((a, b) => depth(a.destination) - depth(b.destination))) {
      const fd = openSource(source, empty);
      if (fd === null) continue;
      try {
        const path = this.locate(destination);
        if (path.length === 0) throw invalid(`invalid mount: destination can't be "/": ${destination}`);
        if (makesMountPoints) this.#makeMountPoint(path, fstatSync(fd).isDirectory());
        else this.#markStandIns(path);
        this.#mounts.set(path.join('/'), { fd, readOnly });
      } catch (error) {
        closeDescriptor(fd);
        throw error;
      }
    }
  }

  #makeMountPoint(path: readonly string[], isDirectory: boolean): void {
    let place = this.#rootPlace();
    for (const [index, name] of path.entries()) {
      if (this.mountOf(place.path)?.readOnly === true) {
        this.#markStandIns(path);
        break;
      }
      makeMissing(place.fd, name, isDirectory || index < path.length - 1);
      place = this.#step(place, name);
    }
    closeDescriptor(place.fd);
  }

  #markStandIns(path: readonly string[]): void {
    let place = this.#rootPlace();
    for (const [index, name] of path.slice(0, -1).entries()) {
      const step = this.#tryStep(place, name);
      if (!('place' in step)) {
        for (let end = index + 1; end < path.length; end++) this.#standIns.add(path.slice(0, end).join('/'));
        break;
      }
      closeDescriptor(place.fd);
      place = step.place;
    }
    closeDescriptor(place.fd);
  }
}

/** For reading what is in it; the caller closes it. */
export function openDirectoryOf(pinned: number): number {
  return openAt(AT_FDCWD, `/proc/self/fd/${pinned}`, constants.O_RDONLY | O_DIRECTORY);
}

function tooManyLinks(name: string): SystemCallError {
  return new SystemCallError('openat', os.errno.ELOOP, 'ELOOP', printableName(name));
}

function openAgain(pinned: number): number {
  return openAt(AT_FDCWD, `/proc/self/fd/${pinned}`, O_PATH);
}

function placeOf(fd: number, path: readonly string[]): Place {
  return { fd, path, stats: fstatSync(fd, { bigint: true }) };
}

function readLinkAndClose(fd: number): string {
  try {
    return readPinnedLink(fd);
  } finally {
    closeDescriptor(fd);
  }
}

function makeMissing(parent: number, name: string, isDirectory: boolean): void {
  try {
    if (isDirectory) makeDirectoryAt(parent, name, 0o755);
    else closeDescriptor(openAt(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644));
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

/** Null: a bind whose source is gone. */
function openSource(source: MountSource, empty: string): number | null {
  let root: number;
  try {
    root =
      source.kind === 'path'
        ? openAt(AT_FDCWD, source.path, O_PATH)
        : openOverlay({ base: source.base, lowers: source.lowers, upper: null, work: null }, empty);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
  if (source.subpath === '') return root;
  try {
    return openInRoot(root, source.subpath, O_PATH);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  } finally {
    closeDescriptor(root);
  }
}

/** The descriptor of /proc/PID pins the process: what is asked of it later is of that process, or fails. */
function openRunning<T>({ pid, containerId }: RunningRoot, use: (root: number, process: number) => T): T {
  let process: number;
  try {
    process = openAt(AT_FDCWD, `/proc/${pid}`, O_PATH | O_DIRECTORY);
  } catch (error) {
    throw isErrno(error, 'ENOENT') ? stopped(containerId, error) : error;
  }
  try {
    if (!readSmall(process, 'cgroup').includes(containerId)) throw stopped(containerId, null);
    return use(openAt(process, 'root', O_PATH | O_DIRECTORY), process);
  } catch (error) {
    closeDescriptor(process);
    throw isErrno(error, 'ENOENT', 'ESRCH') || isNodeErrno(error) ? stopped(containerId, error) : error;
  }
}

function stopped(containerId: string, cause: unknown): EngineError {
  return conflict(`Container ${containerId} stopped while its files were being opened: try again`, { cause });
}

function isNodeErrno(error: unknown): boolean {
  return (
    error instanceof Error && !(error instanceof EngineError) && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')
  );
}

function readSmall(directory: number, name: string): string {
  const file = openSync(`/proc/self/fd/${directory}/${name}`, 'r');
  try {
    const buffer = Buffer.alloc(64 * 1024);
    return buffer.toString('latin1', 0, readSync(file, buffer, 0, buffer.length, null));
  } finally {
    closeSync(file);
  }
}
