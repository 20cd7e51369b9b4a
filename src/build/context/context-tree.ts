/**
 * The directory of a context while it is written: hostile names are kept inside it (`store/own-tree.ts`), everything belongs to 0:0, and what is written is digested on its way.
 *
 * A file is never written in place: layers may share it by hard links. What stands where something else goes is removed first.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import { ftruncateSync, writeSync } from 'node:fs';
import { printableName } from '../../base/byte-name.ts';
import { EngineError, invalid, SystemCallError } from '../../base/errors.ts';
import type { ListedFile, ListedTime } from '../../base/file-list.ts';
import { setAttribute, setAttributeOfPath } from '../../linux/extended-attributes.ts';
import { isErrno } from '../../linux/ffi.ts';
import {
  changeModeAt,
  closeDescriptor,
  linkAt,
  makeNodeAt,
  makeSymbolicLinkAt,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_WRONLY,
  openAt,
  pathAt,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  setTimes,
  setTimesAt,
} from '../../linux/file-calls.ts';
import type { OpenDirectory } from '../../store/open-directories.ts';
import { OwnTree, setOwnerAndMode } from '../../store/own-tree.ts';
import { digestOfContext, type IndexEntry, sortedByPath } from './context-index.ts';

export interface ContextLimits {
  /** Of all files, holes too. */
  readonly bytes: number;
  readonly entries: number;
}

export const defaultContextLimits: ContextLimits = { bytes: 128 * 1024 ** 3, entries: 1_000_000 };

export const contextNameBytes = 3840;

const deviceTypes = { 'character-device': S_IFCHR, 'block-device': S_IFBLK, fifo: S_IFIFO } as const;
const archiveErrnos = ['ENAMETOOLONG', 'EINVAL', 'ELOOP', 'ENOTDIR', 'EPERM', 'EMLINK', 'EOVERFLOW', 'ERANGE', 'E2BIG', 'EFBIG'];
const EMPTY_DIGEST = hash('sha256', '', 'hex');
const none: ReadonlyMap<string, Uint8Array> = new Map();

/** What is kept of what came: the rest is the host's business (overlay's own, ACLs, labels). */
export function keepsAttribute(name: string): boolean {
  return name === 'security.capability' || (name.startsWith('user.') && !name.startsWith('user.overlay.'));
}

export class ContextTree {
  readonly #tree: OwnTree;
  readonly #limits: ContextLimits;
  readonly #entries: Map<string, IndexEntry>;
  /** Directories whose time is to be set at the end. */
  readonly #times = new Map<string, ListedTime>();
  #bytes = 0;
  #made = 0;
  /** A directory went with what was in it: not every entry is there any more. */
  #lostSome = false;

  /** `root` and `trash` are the caller's to close. `kept`: what the directory holds already. */
  constructor(root: number, trash: number, limits: ContextLimits, kept: ReadonlyMap<string, IndexEntry> = new Map()) {
    this.#tree = new OwnTree(root, trash, contextNameBytes, 'the build context');
    this.#limits = limits;
    this.#entries = new Map(kept);
  }

  /** Between entries. */
  settle(): void {
    this.#tree.settle();
  }

  close(): void {
    this.#tree.close();
  }

  /** Directories that nobody listed are made, as every unpacker does. */
  parent(components: readonly string[]): OpenDirectory {
    try {
      return this.#parent(components);
    } catch (error) {
      if (!isErrno(error, 'ENOTDIR', 'ELOOP')) throw error;
      throw belowNoDirectory(components);
    }
  }

  #parent(components: readonly string[]): OpenDirectory {
    const found = this.#tree.directory(components);
    if (found !== null) return found;
    const above = this.#parent(components.slice(0, -1));
    const name = components.at(-1) ?? '';
    this.#tree.makeDirectory(above, name, (fd) => setOwnerAndMode(fd, { mode: 0o755, uid: 0, gid: 0 }));
    this.#count();
    this.#note([...above.path, name], { ...bare, type: 'directory', mode: 0o755, modifiedAt: { seconds: 0, nanoseconds: 0 } });
    this.#times.set([...above.path, name].join('/'), { seconds: 0, nanoseconds: 0 });
    const made = this.#tree.directory(components);
    if (made === null) throw belowNoDirectory(components);
    return made;
  }

  /** Where a symbolic link on the way would lead is never looked at: null when one is, or the directory is not there. */
  exactParent(components: readonly string[]): OpenDirectory | null {
    const found = this.#tree.directory(components);
    return found === null || found.path.length !== components.length || found.path.some((name, index) => name !== components[index])
      ? null
      : found;
  }

  /** Anything but a regular file and a hard link. `entry.path` is the name that messages use. */
  make(parent: OpenDirectory, name: string, entry: ListedFile): void {
    this.#guarded(entry, () => {
      this.#count();
      this.#tree.checkLength(parent, name);
      if (entry.type === 'directory') this.#makeDirectory(parent, name, entry);
      else if (entry.type === 'symbolic-link') this.#makeSymbolicLink(parent, name, entry);
      else if (entry.type !== 'file' && entry.type !== 'hard-link') this.#makeNode(parent, name, entry, deviceTypes[entry.type]);
    });
  }

  /** To be written and finished before anything else is made. */
  file(parent: OpenDirectory, name: string, entry: ListedFile): ContextFile {
    return this.#guarded(entry, () => {
      this.#count();
      this.#tree.checkLength(parent, name);
      // What the umask takes away is given at the end; the rest needs no call of its own.
      const fd = this.#inPlaceOf(parent, name, () => openAt(parent.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, entry.mode & 0o755));
      const path = [...parent.path, name];
      return new ContextFile(fd, entry, {
        count: (bytes) => this.#countBytes(bytes),
        done: (written) => this.#note(path, written),
        guarded: (run) => this.#guarded(entry, run),
      });
    });
  }

  /** `from` and its name: what it is linked to. */
  hardLink(parent: OpenDirectory, name: string, from: OpenDirectory | null, fromName: string, entry: ListedFile): void {
    this.#guarded(entry, () => {
      this.#count();
      this.#tree.checkLength(parent, name);
      const own = from === null ? null : this.#tree.stats(from, fromName);
      const target = from === null ? undefined : this.#entries.get([...from.path, fromName].join('/'));
      if (from === null || own === null || target === undefined) {
        throw invalid(
          `the build context has a hard link ${printableName(entry.path)} to ${printableName(entry.linkTarget)}, which is not there`,
        );
      }
      if (own.isDirectory()) throw invalid(`the build context has a hard link to a directory: ${printableName(entry.path)}`);
      if (this.#tree.stats(parent, name)?.ino !== own.ino) this.#inPlaceOf(parent, name, () => linkAt(from.fd, fromName, parent.fd, name));
      this.#note([...parent.path, name], target);
    });
  }

  /** For hard links: where links of the context are followed inside it. */
  directory(components: readonly string[]): OpenDirectory | null {
    return this.#tree.directory(components);
  }

  remove(parent: OpenDirectory, name: string): void {
    const path = [...parent.path, name].join('/');
    if (this.#entries.get(path)?.type === 'directory') this.#lostSome = true;
    this.#entries.delete(path);
    this.#times.delete(path);
    this.#tree.remove(parent, name);
  }

  /** The directory's time was changed by what was done in it, and is to be as it was. */
  restoreTime(path: string): void {
    const entry = this.#entries.get(path);
    if (entry?.type === 'directory') this.#times.set(path, entry.modifiedAt);
  }

  entry(path: string): IndexEntry | undefined {
    return this.#entries.get(path);
  }

  /** What stays as it is, with what is newly known of it. */
  keep(path: string, entry: IndexEntry): void {
    this.#entries.set(path, entry);
    this.#countBytes(entry.type === 'file' ? entry.sizeBytes : 0);
    this.#count();
  }

  /** It went with the directory that it was in. */
  forget(path: string): void {
    this.#entries.delete(path);
  }

  finish(): { readonly entries: readonly IndexEntry[]; readonly digest: string; readonly sizeBytes: number } {
    this.#tree.settle();
    if (this.#lostSome) this.#forgetWhatIsGone();
    for (const [path, time] of this.#times) {
      const fd = this.#tree.openExact(path.split('/'));
      if (fd === null) continue;
      try {
        setTimes(fd, time);
      } finally {
        closeDescriptor(fd);
      }
    }
    const entries = sortedByPath(this.#entries.values());
    return { entries, digest: digestOfContext(entries), sizeBytes: this.#bytes };
  }

  #forgetWhatIsGone(): void {
    for (const [path, entry] of this.#entries) {
      const components = path.split('/');
      const name = components.pop() ?? '';
      const found = this.#tree.peek(components, name);
      if (found === null || found.stats.isDirectory() !== (entry.type === 'directory')) this.#entries.delete(path);
    }
  }

  #makeDirectory(parent: OpenDirectory, name: string, entry: ListedFile): void {
    const existing = this.#tree.stats(parent, name);
    if (existing !== null && !existing.isDirectory()) this.remove(parent, name);
    const attributes = kept(entry.extendedAttributes);
    this.#tree.makeDirectory(parent, name, (fd) => {
      setOwnerAndMode(fd, { mode: entry.mode, uid: 0, gid: 0 });
      for (const [attribute, value] of attributes) tolerating(() => setAttribute(fd, attribute, value));
    });
    const path = [...parent.path, name];
    this.#note(path, { ...entry, sizeBytes: 0, linkTarget: '', extendedAttributes: attributes });
    this.#times.set(path.join('/'), entry.modifiedAt);
  }

  #makeSymbolicLink(parent: OpenDirectory, name: string, entry: ListedFile): void {
    this.#inPlaceOf(parent, name, () => makeSymbolicLinkAt(entry.linkTarget, parent.fd, name));
    setTimesAt(parent.fd, name, entry.modifiedAt);
    // Its own bits mean nothing, and are 0777 whoever asks.
    this.#note([...parent.path, name], { ...entry, mode: 0o777, sizeBytes: 0, extendedAttributes: none });
  }

  #makeNode(parent: OpenDirectory, name: string, entry: ListedFile, kind: number): void {
    this.#inPlaceOf(parent, name, () => makeNodeAt(parent.fd, name, kind | 0o600, entry.deviceMajor, entry.deviceMinor));
    changeModeAt(parent.fd, name, entry.mode);
    const attributes = kept(entry.extendedAttributes);
    for (const [attribute, value] of attributes) tolerating(() => setAttributeOfPath(pathAt(parent.fd, name), attribute, value));
    setTimesAt(parent.fd, name, entry.modifiedAt);
    this.#note([...parent.path, name], { ...entry, sizeBytes: 0, linkTarget: '', extendedAttributes: attributes });
  }

  /** Tries to make something, and again after taking away what is in its place. */
  #inPlaceOf<T>(parent: OpenDirectory, name: string, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      this.remove(parent, name);
      return make();
    }
  }

  #note(path: readonly string[], entry: Omit<IndexEntry, 'path'>): void {
    const text = path.join('/');
    this.#entries.set(text, { ...entry, path: text });
  }

  #count(): void {
    this.#made++;
    if (this.#made > this.#limits.entries) throw invalid(`the build context has more than ${this.#limits.entries} entries, the limit`);
  }

  #countBytes(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#limits.bytes) {
      throw invalid(`the files of the build context take more than ${this.#limits.bytes} bytes, the limit`);
    }
  }

  #guarded<T>(entry: ListedFile, run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw explained(error, entry);
    }
  }
}

function belowNoDirectory(components: readonly string[]): Error {
  return invalid(`the build context has an entry below ${printableName(components.join('/'))}, which is not a directory`);
}

const bare = { path: '', sizeBytes: 0, linkTarget: '', deviceMajor: 0, deviceMinor: 0, extendedAttributes: none } as const;

interface FileOwner {
  count(bytes: number): void;
  done(entry: IndexEntry): void;
  guarded(run: () => void): void;
}

/** A regular file on its way. Its bytes may come in pieces with holes between them, forwards only. */
export class ContextFile {
  readonly #fd: number;
  readonly #entry: ListedFile;
  readonly #owner: FileOwner;
  #hash: Hash | null = null;
  #only: string | null = null;
  #end = 0;

  constructor(fd: number, entry: ListedFile, owner: FileOwner) {
    this.#fd = fd;
    this.#entry = entry;
    this.#owner = owner;
  }

  /** `isLast`: nothing follows; a file of one piece is hashed at once. */
  write(bytes: Uint8Array, offset: number, isLast = false, checkpoint: () => void = () => {}): void {
    this.#owner.guarded(() => {
      this.#owner.count(offset + bytes.length - this.#end);
      if (isLast && this.#end === 0 && offset === 0) this.#only = bytes.length === 0 ? EMPTY_DIGEST : hash('sha256', bytes, 'hex');
      else {
        this.#fillHole(offset, checkpoint);
        this.#hash ??= createHash('sha256');
        this.#hash.update(bytes);
      }
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
      this.#end = offset + bytes.length;
    });
  }

  get writtenBytes(): number {
    return this.#end;
  }

  /** `sizeBytes`: with the hole at its end; default: what was written. */
  finish(sizeBytes = this.#end, checkpoint: () => void = () => {}): void {
    this.#owner.guarded(() => {
      try {
        if (sizeBytes > this.#end) {
          this.#owner.count(sizeBytes - this.#end);
          this.#fillHole(sizeBytes, checkpoint);
          ftruncateSync(this.#fd, sizeBytes);
        }
        const attributes = kept(this.#entry.extendedAttributes);
        const { mode, modifiedAt } = this.#entry;
        if ((mode & ~0o755) !== 0) setOwnerAndMode(this.#fd, { mode, uid: 0, gid: 0 });
        for (const [name, value] of attributes) tolerating(() => setAttribute(this.#fd, name, value));
        setTimes(this.#fd, modifiedAt);
        const digest = this.#only ?? this.#hash?.digest('hex') ?? EMPTY_DIGEST;
        this.#owner.done({ ...this.#entry, type: 'file', sizeBytes, linkTarget: '', extendedAttributes: attributes, digest });
      } finally {
        closeDescriptor(this.#fd);
      }
    });
  }

  /** Not finished: the file stays as it is, in a context that nobody gets. */
  abandon(): void {
    closeDescriptor(this.#fd);
  }

  #fillHole(offset: number, checkpoint: () => void): void {
    for (let at = this.#end; at < offset; at += zeros.length) {
      checkpoint();
      this.#hash ??= createHash('sha256');
      this.#hash.update(zeros.subarray(0, Math.min(zeros.length, offset - at)));
    }
  }
}

const zeros = Buffer.alloc(1024 * 1024);

function kept(attributes: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> {
  return attributes.size === 0 ? none : new Map([...attributes].filter(([name]) => keepsAttribute(name)));
}

/** File systems that know no such attributes go without. */
function tolerating(set: () => void): void {
  try {
    set();
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP', 'EPERM')) throw error;
  }
}

/** What the kernel says of a call that the context's values made wrong is the context's fault; the rest is ours or the disk's. */
function explained(error: unknown, entry: ListedFile): unknown {
  if (!(error instanceof SystemCallError) || !archiveErrnos.includes(error.errnoName)) return error;
  return new EngineError('invalid', `cannot write ${printableName(entry.path)} (${entry.type}) of the build context: ${error.message}`, {
    cause: error,
  });
}
