/**
 * The directory tree that a layer (or an archive of a volume) is unpacked into, and how a hostile archive is kept inside it: every parent directory is resolved by the kernel below the
 * pinned root (openat2), then everything is done relative to its descriptor with a single name that is never followed.
 *
 * Open parents are cached (`OpenDirectories`); whatever removes or replaces an entry empties the cache.
 */
import { fchmodSync, fchownSync, lstatSync, readlinkSync, type Stats } from 'node:fs';
import type { Timestamp } from '../archive/tar-entry.ts';
import { decodeName, printableName } from '../base/byte-name.ts';
import { invalid } from '../base/errors.ts';
import { isErrno } from '../linux/ffi.ts';
import {
  closeDescriptor,
  makeDirectoryAt,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  openAt,
  openAt2,
  pathAt,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  setTimes,
} from '../linux/file-calls.ts';
import { removeTree } from '../linux/remove-tree.ts';
import { OpenDirectories, type OpenDirectory } from './open-directories.ts';

const CONTAINED = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

export class OwnTree {
  readonly root: OpenDirectory;
  readonly #trash: number;
  readonly #rootPath: string;
  readonly #open = new OpenDirectories();
  readonly #maximumPathBytes: number;
  readonly #what: string;

  /** `root` and `trash` (on the same file system) are O_PATH descriptors, the caller's to close. `what` is for messages. */
  constructor(root: number, trash: number, maximumPathBytes: number, what = 'the layer') {
    this.root = { fd: root, path: [] };
    this.#trash = trash;
    this.#rootPath = descriptorPath(root);
    this.#maximumPathBytes = maximumPathBytes;
    this.#what = what;
  }

  /** Between entries: nobody holds a directory now. */
  settle(): void {
    this.#open.settle();
  }

  close(): void {
    this.#open.close();
  }

  /** Follows links of the tree inside the tree. Null: a part is missing (which may be there in a layer below). */
  directory(components: readonly string[]): OpenDirectory | null {
    if (components.length === 0) return this.root;
    const path = components.join('/');
    const cached = this.#open.get(path);
    if (cached !== undefined) return cached;
    const plain = this.#tryOpen(path, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (typeof plain === 'number') return this.#open.keep(path, { fd: plain, path: components });
    if (plain === 'missing') return null;
    const followed = this.#tryOpen(path, RESOLVE_IN_ROOT);
    if (typeof followed === 'number') return this.#open.keep(path, { fd: followed, path: this.#resolvedPath(followed) });
    if (followed === 'missing') return null;
    throw invalid(`${this.#what} has an entry below ${printableName(path)}, which is not a directory`);
  }

  /** The same without following any link, opened for reading; the caller closes it. Null when it is not there any more. */
  openExact(components: readonly string[]): number | null {
    const path = components.length === 0 ? '.' : components.join('/');
    const opened = this.#tryOpen(path, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, O_RDONLY);
    return typeof opened === 'number' ? opened : null;
  }

  /** For a directory that is there for sure and needed only for a moment. */
  within<T>(components: readonly string[], use: (directory: OpenDirectory) => T): T {
    const fd = this.openExact(components);
    if (fd === null) throw invalid(`${this.#what} has an entry below ${printableName(components.join('/'))}, which is not a directory`);
    try {
      return use({ fd, path: components });
    } finally {
      closeDescriptor(fd);
    }
  }

  /** What the tree itself has at a path, no link followed; null: nothing. */
  peek(parent: readonly string[], name: string): { readonly stats: Stats; readonly link?: string } | null {
    const fd = this.openExact(parent);
    if (fd === null) return null;
    try {
      const here = { fd, path: parent };
      const stats = this.stats(here, name);
      if (stats === null) return null;
      return stats.isSymbolicLink() ? { stats, link: this.readLink(here, name) } : { stats };
    } finally {
      closeDescriptor(fd);
    }
  }

  stats(parent: OpenDirectory, name: string): Stats | null {
    return lstatSync(pathAt(parent.fd, name), { throwIfNoEntry: false }) ?? null;
  }

  readLink(parent: OpenDirectory, name: string): string {
    return decodeName(readlinkSync(pathAt(parent.fd, name), { encoding: 'buffer' }));
  }

  /** Makes room for something else. */
  remove(parent: OpenDirectory, name: string): void {
    this.#open.forget();
    removeTree(parent.fd, name, this.#trash);
  }

  /** Makes the directory if need be, hands its descriptor (readable) to `fill`, and closes it. */
  makeDirectory(parent: OpenDirectory, name: string, fill: (fd: number) => void): void {
    this.checkLength(parent, name);
    try {
      makeDirectoryAt(parent.fd, name, 0o700);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    const fd = openAt(parent.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      fill(fd);
    } finally {
      closeDescriptor(fd);
    }
  }

  /** Links can lead deeper than any path of the archive; nothing may lie deeper than paths reach. */
  checkLength(parent: OpenDirectory, name: string): void {
    const characters = parent.path.reduce((sum, component) => sum + component.length + 1, name.length);
    if (characters * 3 <= this.#maximumPathBytes) return;
    if (Buffer.byteLength([...parent.path, name].join('/')) > this.#maximumPathBytes) {
      throw invalid(
        `${this.#what} has an entry whose path is longer than ${this.#maximumPathBytes} bytes, the limit: ${printableName(name)}`,
      );
    }
  }

  #tryOpen(path: string, resolve: number, access = O_PATH): number | 'missing' | 'blocked' {
    try {
      return openAt2(this.root.fd, path, access | O_DIRECTORY, resolve | CONTAINED);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return 'missing';
      if (isErrno(error, 'ELOOP', 'ENOTDIR', 'EXDEV')) return 'blocked';
      throw error;
    }
  }

  #resolvedPath(fd: number): readonly string[] {
    const path = descriptorPath(fd);
    return path === this.#rootPath ? [] : path.slice(this.#rootPath.length + 1).split('/');
  }
}

export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** In the order that keeps them: a change of owner clears setuid bits. */
export function setOwnerAndMode(fd: number, attributes: Attributes): void {
  fchownSync(fd, attributes.uid, attributes.gid);
  fchmodSync(fd, attributes.mode);
}

export function setTimesOfDirectory(tree: OwnTree, path: readonly string[], time: Timestamp): void {
  const fd = tree.openExact(path);
  if (fd === null) return;
  try {
    setTimes(fd, time);
  } finally {
    closeDescriptor(fd);
  }
}

/** No process but ours moves anything below the layer store, so the kernel's path of a descriptor is where it is. */
function descriptorPath(fd: number): string {
  return decodeName(readlinkSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' }));
}
