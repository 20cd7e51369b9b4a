/**
 * A directory of a container as the place that an archive is unpacked into (`ArchiveTree`). Parents are found from the container's root each time, with its
 * own links followed inside it, as the archive's links may be; then everything is done by one name in an open directory.
 *
 * Paths of open directories are the container's, without links. Descriptors that left the cache are closed by `settle`, between entries.
 */
import { lstatSync, type Stats } from 'node:fs';
import { printableName } from '../../base/byte-name.ts';
import { conflict, EngineError, invalid } from '../../base/errors.ts';
import { isErrno } from '../../linux/ffi.ts';
import {
  closeDescriptor,
  isMountPoint,
  makeDirectoryAt,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  openAt,
  pathAt,
} from '../../linux/file-calls.ts';
import { removeInPlace } from '../../linux/remove-in-place.ts';
import { OpenDirectories, type OpenDirectory } from '../../store/open-directories.ts';
import { type ArchiveTree, importNameBytes } from '../../volumes/import-archive.ts';
import { type ContainerTree, openDirectoryOf, type Place } from './container-tree.ts';
import { showsKernel } from './kernel-file-systems.ts';

export class ContainerTarget implements ArchiveTree {
  readonly #tree: ContainerTree;
  readonly #at: readonly string[];
  readonly #root: OpenDirectory;
  readonly #checkpoint: () => void;
  readonly #open = new OpenDirectories();

  /** Takes over `at`, a directory. The tree stays the caller's. */
  constructor(tree: ContainerTree, at: Place, checkpoint: () => void) {
    this.#tree = tree;
    this.#at = at.path;
    this.#root = { fd: at.fd, path: at.path };
    this.#checkpoint = checkpoint;
    this.#refuseReadOnly(at.path);
  }

  settle(): void {
    this.#open.settle();
  }

  close(): void {
    this.#open.close();
    closeDescriptor(this.#root.fd);
  }

  directory(components: readonly string[]): OpenDirectory | null {
    if (components.length === 0) return this.#root;
    const key = components.join('/');
    const cached = this.#open.get(key);
    if (cached !== undefined) return cached;
    let place: Place;
    try {
      place = this.#tree.resolve(key, 'follow', this.#at);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return null;
      throw isErrno(error, 'ENOTDIR', 'ELOOP') ? notDirectory(key) : error;
    }
    if (!place.stats.isDirectory()) {
      closeDescriptor(place.fd);
      throw notDirectory(key);
    }
    this.#refuseReadOnly(place.path);
    return this.#open.keep(key, { fd: place.fd, path: place.path });
  }

  openExact(path: readonly string[]): number | null {
    let place: Place;
    try {
      place = this.#tree.exact(path);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return null;
      throw error;
    }
    try {
      return place.stats.isDirectory() ? openDirectoryOf(place.fd) : null;
    } finally {
      closeDescriptor(place.fd);
    }
  }

  stats(parent: OpenDirectory, name: string): Stats | null {
    return lstatSync(pathAt(parent.fd, name), { throwIfNoEntry: false }) ?? null;
  }

  remove(parent: OpenDirectory, name: string): void {
    const path = [...parent.path, name];
    if (this.#tree.hasMountAtOrBelow(path))
      throw conflict(`${printableName(`/${path.join('/')}`)} can't be removed: something is mounted there`);
    this.#open.forget();
    removeInPlace(parent.fd, name, this.#checkpoint);
  }

  makeDirectory(parent: OpenDirectory, name: string, fill: (fd: number) => void): void {
    this.checkLength(parent, name);
    const mounted = this.#tree.mountedAt([...parent.path, name]);
    if (mounted?.readOnly === true) return;
    const fd = mounted === null ? openOrMake(parent.fd, name) : openDirectoryOf(mounted.fd);
    try {
      if (!showsKernel(`/proc/self/fd/${fd}`)) fill(fd);
    } finally {
      closeDescriptor(fd);
    }
  }

  checkLength(parent: OpenDirectory, name: string): void {
    if (Buffer.byteLength([...parent.path, name].join('/')) <= importNameBytes) return;
    throw invalid(`the archive has an entry whose path is longer than ${importNameBytes} bytes, the limit: ${printableName(name)}`);
  }

  mountedAt(parent: OpenDirectory, name: string): number | null {
    const mounted = this.#tree.mountedAt([...parent.path, name]);
    if (mounted?.readOnly === true) throw readOnlyMount();
    if (mounted !== null) return mounted.fd;
    if (!isMountPoint(parent.fd, name)) return null;
    const fd = openAt(parent.fd, name, O_PATH | O_NOFOLLOW);
    this.#open.retire(fd);
    return fd;
  }

  #refuseReadOnly(path: readonly string[]): void {
    if (this.#tree.mountOf(path)?.readOnly === true) throw readOnlyMount();
  }
}

export function readOnlyMount(): EngineError {
  return new EngineError('forbidden', 'mounted volume is marked read-only');
}

function openOrMake(parent: number, name: string): number {
  try {
    makeDirectoryAt(parent, name, 0o700);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
  return openAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

function notDirectory(path: string): Error {
  return invalid(`the archive has an entry below ${printableName(path)}, which is not a directory in the container`);
}
