/**
 * Copies directory trees: owners, modes, times to the nanosecond, extended attributes, hard links, holes, devices, FIFOs, sockets and symbolic links, at any
 * depth and with any bytes as names. By descriptors only: no symbolic link is followed on either side, whoever writes to the trees meanwhile.
 *
 *   walkTree(source) ──entry, enter, leave──▶ TreeCopier ──▶ destination
 *
 * A file with several names is first linked into `links`, a directory that nobody else knows, and from there to each of its names.
 */
import { type BigIntStats, fchmodSync, fchownSync, fstatSync, readlinkSync } from 'node:fs';
import { decodeName } from '../base/byte-name.ts';
import { hasErrnoCode } from '../base/errors.ts';
import { ContentCopier } from './copy-content.ts';
import { DirectoryChain } from './directory-chain.ts';
import { readAttributes, readAttributesOfPath, setAttribute, setAttributeOfPath } from './extended-attributes.ts';
import { isErrno } from './ffi.ts';
import {
  changeModeOfPinned,
  changeOwnerAt,
  closeDescriptor,
  fileTimeOf,
  linkAt,
  majorOf,
  makeDirectoryAt,
  makeNodeAt,
  makeSymbolicLinkAt,
  minorOf,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_WRONLY,
  openAt,
  openRegularFile,
  pathAt,
  S_IFMT,
  setTimes,
  setTimesAt,
  unlinkAt,
} from './file-calls.ts';
import { type TreeVisitor, walkTree } from './walk-tree.ts';

export interface CopyRules {
  keepAttribute(name: string): boolean;
  /** The destination may be a file system that knows no extended attributes (NFS, vfat): then they are left out instead of refused. */
  readonly toleratesMissingAttributes: boolean;
  /** Asked before each entry; throws to end the copy. */
  checkpoint(): void;
}

export interface CopyTarget {
  /** An open directory, empty. */
  readonly root: number;
  /** An open, empty directory on the same file system, for the copier alone; empty again at the end. */
  readonly links: number;
}

interface Attributes {
  readonly stats: BigIntStats;
  readonly extended: ReadonlyMap<string, Buffer>;
}

/** The content of `source`, and the attributes of `source` itself. */
export function copyTree(source: number, target: CopyTarget, rules: CopyRules): void {
  const copier = new TreeCopier(target, rules);
  try {
    walkTree(source, copier);
    copier.finish(source);
  } finally {
    copier.close();
  }
}

export class TreeCopier implements TreeVisitor {
  readonly #target: CopyTarget;
  readonly #rules: CopyRules;
  readonly #chain: DirectoryChain;
  readonly #entered: Attributes[] = [];
  readonly #content = new ContentCopier();
  /** Device and inode of what has several names → its name in `links`. */
  readonly #linked = new Map<string, string>();

  constructor(target: CopyTarget, rules: CopyRules) {
    this.#target = target;
    this.#rules = rules;
    this.#chain = new DirectoryChain(target.root);
  }

  entry(parent: number, name: string, stats: BigIntStats): void {
    this.#rules.checkpoint();
    const identity = `${stats.dev}:${stats.ino}`;
    const known = stats.nlink > 1n ? this.#linked.get(identity) : undefined;
    if (known !== undefined) {
      linkAt(this.#target.links, known, this.#chain.fd, name);
      return;
    }
    if (!this.#make(parent, name, stats) || stats.nlink <= 1n) return;
    const link = String(this.#linked.size);
    linkAt(this.#chain.fd, name, this.#target.links, link);
    this.#linked.set(identity, link);
  }

  enter(directory: number, name: string, stats: BigIntStats): void {
    this.#rules.checkpoint();
    makeDirectoryAt(this.#chain.fd, name, 0o700);
    this.#chain.enter(name);
    this.#entered.push({ stats, extended: readAttributes(directory, this.#rules.keepAttribute) });
  }

  leave(): void {
    const attributes = this.#entered.pop();
    if (attributes !== undefined) this.#setAttributes(this.#chain.fd, attributes);
    this.#chain.leave();
  }

  /** At the end: the root looks like `source`, an open directory. */
  finish(source: number): void {
    this.#dropLinks();
    const stats = fstatSync(source, { bigint: true });
    this.#setAttributes(this.#target.root, { stats, extended: readAttributes(source, this.#rules.keepAttribute) });
  }

  /** Also after an error. */
  close(): void {
    this.#chain.close();
  }

  #dropLinks(): void {
    for (const link of this.#linked.values()) unlinkAt(this.#target.links, link);
    this.#linked.clear();
  }

  /** False: it is gone, or something else than it was. */
  #make(parent: number, name: string, stats: BigIntStats): boolean {
    if (stats.isFile()) return this.#copyFile(parent, name);
    const source = pathAt(parent, name);
    if (stats.isSymbolicLink()) {
      const link = readLinkIfThere(source);
      if (link === null) return false;
      makeSymbolicLinkAt(link, this.#chain.fd, name);
    } else {
      makeNodeAt(this.#chain.fd, name, (Number(stats.mode) & S_IFMT) | 0o600, majorOf(stats.rdev), minorOf(stats.rdev));
    }
    this.#setByName(name, { stats, extended: readAttributesOfPath(source, this.#rules.keepAttribute) });
    return true;
  }

  #copyFile(parent: number, name: string): boolean {
    const from = openRegularFile(parent, name);
    if (from === null) return false;
    try {
      // Now that it is open: the name may stand for another file since the look at it.
      const stats = fstatSync(from, { bigint: true });
      const to = openAt(this.#chain.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        this.#content.copy(from, to, { bytes: Number(stats.size), blocks: Number(stats.blocks) });
        this.#setAttributes(to, { stats, extended: readAttributes(from, this.#rules.keepAttribute) });
      } finally {
        closeDescriptor(to);
      }
    } finally {
      closeDescriptor(from);
    }
    return true;
  }

  /** In the order that keeps them: a change of owner clears setuid bits and capabilities, everything else changes no time that is set last. */
  #setAttributes(fd: number, { stats, extended }: Attributes): void {
    fchownSync(fd, Number(stats.uid), Number(stats.gid));
    fchmodSync(fd, Number(stats.mode) & 0o7777);
    for (const [name, value] of extended) this.#tolerating(() => setAttribute(fd, name, value));
    setTimes(fd, fileTimeOf(stats.mtimeNs));
  }

  #setByName(name: string, { stats, extended }: Attributes): void {
    const directory = this.#chain.fd;
    changeOwnerAt(directory, name, Number(stats.uid), Number(stats.gid));
    if (!stats.isSymbolicLink()) changeModeAtExactly(directory, name, Number(stats.mode) & 0o7777);
    for (const [attribute, value] of extended) this.#tolerating(() => setAttributeOfPath(pathAt(directory, name), attribute, value));
    setTimesAt(directory, name, fileTimeOf(stats.mtimeNs));
  }

  #tolerating(set: () => void): void {
    try {
      set();
    } catch (error) {
      if (!this.#rules.toleratesMissingAttributes || !isErrno(error, 'EOPNOTSUPP')) throw error;
    }
  }
}

function readLinkIfThere(path: string | Buffer): string | null {
  try {
    return decodeName(readlinkSync(path, { encoding: 'buffer' }));
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'EINVAL')) return null;
    throw error;
  }
}

/** A symbolic link that somebody put there meanwhile is not followed, but refused. */
export function changeModeAtExactly(directory: number, name: string, mode: number): void {
  const pinned = openAt(directory, name, O_PATH | O_NOFOLLOW);
  try {
    changeModeOfPinned(pinned, mode);
  } finally {
    closeDescriptor(pinned);
  }
}
