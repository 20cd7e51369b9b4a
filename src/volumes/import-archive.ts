/**
 * A tar archive from anywhere into a tree of files (a volume, a container), in a worker thread, in one pass. The tree keeps a hostile one inside: it finds
 * parents below its pinned root, and each entry is made by a single name that is not followed. Names mean nothing but themselves here: a `.wh.x` is a file
 * called so.
 *
 * Later entries replace earlier ones, and what the tree holds, as far as the rules let them.
 */
import { constants, fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { decompress } from '../archive/compression.ts';
import { defaultTarLimits, type TarEntry } from '../archive/tar-entry.ts';
import { type TarHandler, TarReader } from '../archive/tar-reader.ts';
import { printableName } from '../base/byte-name.ts';
import { EngineError, invalid, SystemCallError } from '../base/errors.ts';
import { changeModeAtExactly } from '../linux/copy-tree.ts';
import { setAttribute, setAttributeOfPath } from '../linux/extended-attributes.ts';
import { isErrno } from '../linux/ffi.ts';
import {
  AT_FDCWD,
  changeOwnerAt,
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
  removeDirectoryAt,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  setTimes,
  setTimesAt,
  unlinkAt,
} from '../linux/file-calls.ts';
import type { OpenDirectory } from '../store/open-directories.ts';
import { OwnTree, setOwnerAndMode } from '../store/own-tree.ts';

const limits = {
  ...defaultTarLimits,
  nameBytes: 3840,
  entries: 100_000_000,
  fileBytes: 16 * 1024 ** 4,
};
/** Paths of directories are kept until their times are set at the end. */
const DIRECTORY_NAME_BYTES = 256 * 1024 ** 2;
const { O_TRUNC } = constants;
const READ_BYTES = 256 * 1024;
const ZSTD_WINDOW_LOG = 27;
/** Decompressed to compressed bytes, looked at only beyond the second: gzip reaches 1,030 at most. */
const BOMB = { ratio: 200, fromBytes: 4 * 1024 ** 3 } as const;

const deviceTypes = { 'character-device': S_IFCHR, 'block-device': S_IFBLK, fifo: S_IFIFO } as const;
const archiveErrnos = ['ENAMETOOLONG', 'EINVAL', 'ELOOP', 'ENOTDIR', 'EPERM', 'EMLINK', 'EOVERFLOW', 'ERANGE', 'E2BIG', 'EFBIG'];

/** What an archive is written into; see `store/own-tree.ts`. */
export type ArchiveTree = Pick<
  OwnTree,
  'directory' | 'openExact' | 'stats' | 'remove' | 'makeDirectory' | 'checkLength' | 'settle' | 'close'
> & {
  /** Something is mounted there that is not to be replaced: an O_PATH descriptor of it, good until `settle`; or null. */
  mountedAt?(parent: OpenDirectory, name: string): number | null;
};

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface ImportRules {
  /** For messages: "the volume". */
  readonly what: string;
  /** What may take the place of something of another kind: anything; all but directories that hold something; a directory and what is none never. */
  readonly replaces: 'anything' | 'all-but-full-directories' | 'same-kind';
  /** The archive's entry for its own root sets the attributes of the tree's. */
  readonly setsRoot: boolean;
  /** Whose a file is to be that the archive says is theirs. Throws where nobody is them. */
  ownerOf(owner: Owner): Owner;
  keepAttribute(name: string): boolean;
  /** File systems that know no such attributes go without. */
  readonly toleratesMissingAttributes: boolean;
}

const volumeRules: ImportRules = {
  what: 'the volume',
  replaces: 'all-but-full-directories',
  setsRoot: true,
  ownerOf: (owner) => owner,
  keepAttribute: () => true,
  toleratesMissingAttributes: false,
};

/** Room for the host's own directories in front, as the kernel takes no longer path. */
export const importNameBytes = 3840;

/** `root` and `trash` (on the same file system) are the caller's to close; so is the pipe. */
export async function importArchive(readEnd: number, root: number, trash: number, checkpoint: () => void): Promise<void> {
  await importInto(readEnd, new OwnTree(root, trash, importNameBytes, 'the archive'), volumeRules, checkpoint);
}

/** Closes the tree; the pipe is the caller's to close. */
export async function importInto(readEnd: number, tree: ArchiveTree, rules: ImportRules, checkpoint: () => void): Promise<void> {
  const writer = new ImportWriter(tree, rules);
  try {
    const reader = new TarReader(writer, limits);
    let [compressed, plain] = [0, 0];
    for await (const chunk of decompress(
      chunksOf(readEnd, (bytes) => (compressed += bytes)),
      { zstdWindowLog: ZSTD_WINDOW_LOG },
    )) {
      checkpoint();
      plain += chunk.length;
      if (plain > BOMB.fromBytes && plain > BOMB.ratio * compressed) {
        throw invalid(`the archive grows by more than ${BOMB.ratio} times when decompressed: refused as a decompression bomb`);
      }
      reader.push(chunk);
    }
    // The pipe ends when the sender left, too.
    checkpoint();
    reader.end();
    writer.finish();
  } finally {
    writer.close();
  }
}

function* chunksOf(readEnd: number, count: (bytes: number) => void): Generator<Uint8Array, void, undefined> {
  for (;;) {
    // A buffer of its own for every chunk: the decompressor may still hold the last one.
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    const length = readSync(readEnd, buffer, 0, buffer.length, null);
    if (length === 0) return;
    count(length);
    yield buffer.subarray(0, length);
  }
}

interface OpenFile {
  readonly fd: number;
  readonly entry: TarEntry;
  /** Null: something is mounted there, of which only the content changes. */
  readonly made: { readonly parent: OpenDirectory; readonly name: string } | null;
}

class ImportWriter implements TarHandler {
  readonly #tree: ArchiveTree;
  readonly #rules: ImportRules;
  #file: OpenFile | null = null;
  readonly #directoryTimes = new Map<string, TarEntry['modifiedAt']>();
  #trackedBytes = 0;

  constructor(tree: ArchiveTree, rules: ImportRules) {
    this.#tree = tree;
    this.#rules = rules;
  }

  entry(given: TarEntry): void {
    this.#tree.settle();
    try {
      checkNumbers(given);
      const { uid, gid } = this.#rules.ownerOf(given);
      const entry = { ...given, uid, gid };
      this.#make(entry);
    } catch (error) {
      throw explained(error, given);
    }
  }

  content(bytes: Uint8Array, offset: number): void {
    if (this.#file === null || isZero(bytes)) return;
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#file.fd, bytes, done, bytes.length - done, offset + done);
  }

  endOfEntry(): void {
    if (this.#file === null) return;
    const { fd, entry, made } = this.#file;
    this.#file = null;
    try {
      ftruncateSync(fd, entry.sizeBytes);
      if (made === null) return;
      this.#finishOpen(fd, entry);
      setTimes(fd, entry.modifiedAt);
    } catch (error) {
      throw explained(error, entry);
    } finally {
      closeDescriptor(fd);
    }
  }

  /** Times of directories change with what is put into them, so they come last. */
  finish(): void {
    this.#tree.settle();
    for (const [path, time] of this.#directoryTimes) {
      const fd = this.#tree.openExact(path === '' ? [] : path.split('/'));
      if (fd === null) continue;
      try {
        setTimes(fd, time);
      } finally {
        closeDescriptor(fd);
      }
    }
  }

  /** Also after an error: then a file that is not whole goes. */
  close(): void {
    if (this.#file !== null) this.#giveUp(this.#file);
    this.#file = null;
    this.#tree.close();
  }

  #giveUp({ fd, made }: OpenFile): void {
    try {
      if (made === null) return;
      const { parent, name } = made;
      // Somebody else may have put something of their own there.
      if (this.#tree.stats(parent, name)?.ino === fstatSync(fd).ino) unlinkAt(parent.fd, name);
    } catch {
      // The error that led here says more.
    } finally {
      closeDescriptor(fd);
    }
  }

  #make(entry: TarEntry): void {
    const components = componentsInside(entry.path, entry);
    const name = components.pop();
    if (name === undefined) {
      this.#setRoot(entry);
      return;
    }
    const parent = this.#parent(components, entry);
    this.#tree.checkLength(parent, name);
    if (entry.type === 'directory') this.#makeDirectory(parent, name, entry);
    else if (entry.type === 'file') this.#openFile(parent, name, entry);
    else if (entry.type === 'hard-link') this.#makeHardLink(parent, name, entry);
    else if (entry.type === 'symbolic-link') this.#makeSymbolicLink(parent, name, entry);
    else this.#makeNode(parent, name, entry, deviceTypes[entry.type]);
  }

  #setRoot(entry: TarEntry): void {
    if (entry.type !== 'directory') throw invalid(`the archive has an entry for its root that is not a directory but a ${entry.type}`);
    if (!this.#rules.setsRoot) return;
    const fd = this.#tree.openExact([]);
    if (fd === null) throw invalid(`the root of ${this.#rules.what} is gone`);
    try {
      this.#finishOpen(fd, entry);
    } finally {
      closeDescriptor(fd);
    }
    this.#rememberTime([], entry.modifiedAt);
  }

  #makeDirectory(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const existing = this.#tree.stats(parent, name);
    if (existing !== null && !existing.isDirectory()) {
      if (this.#tree.mountedAt?.(parent, name) != null) throw inTheWay(entry);
      if (this.#rules.replaces === 'same-kind') throw this.#clash('non-directory', parent, name, 'directory', entry);
      this.#tree.remove(parent, name);
    }
    this.#tree.makeDirectory(parent, name, (fd) => this.#finishOpen(fd, entry));
    this.#rememberTime([...parent.path, name], entry.modifiedAt);
  }

  #openFile(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    // A file that is mounted there (/etc/hosts is) can't be replaced, but written.
    const mounted = this.#tree.mountedAt?.(parent, name) ?? null;
    if (mounted !== null) this.#file = { fd: openMounted(mounted, entry), entry, made: null };
    else
      this.#file = { fd: this.#inPlaceOf(parent, name, entry, () => openAt(parent.fd, name, flags, 0o600)), entry, made: { parent, name } };
  }

  #makeSymbolicLink(parent: OpenDirectory, name: string, entry: TarEntry): void {
    this.#inPlaceOf(parent, name, entry, () => makeSymbolicLinkAt(entry.linkTarget, parent.fd, name));
    changeOwnerAt(parent.fd, name, entry.uid, entry.gid);
    this.#finishByName(parent, name, entry);
  }

  #makeNode(parent: OpenDirectory, name: string, entry: TarEntry, kind: number): void {
    this.#inPlaceOf(parent, name, entry, () => makeNodeAt(parent.fd, name, kind | 0o600, entry.deviceMajor, entry.deviceMinor));
    changeOwnerAt(parent.fd, name, entry.uid, entry.gid);
    changeModeAtExactly(parent.fd, name, entry.mode);
    this.#finishByName(parent, name, entry);
  }

  #makeHardLink(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const target = componentsInside(entry.linkTarget, entry);
    const targetName = target.pop();
    const from = targetName === undefined ? null : this.#tree.directory(target);
    const own = from === null || targetName === undefined ? null : this.#tree.stats(from, targetName);
    if (from === null || targetName === undefined || own === null) throw missingTarget(entry);
    if (own.isDirectory()) throw invalid(`the archive has a hard link to a directory: ${printableName(entry.path)}`);
    if (this.#tree.stats(parent, name)?.ino === own.ino) return;
    this.#inPlaceOf(parent, name, entry, () => linkAt(from.fd, targetName, parent.fd, name));
  }

  /** Directories that the archive does not list are made, as every unpacker does. */
  #parent(components: readonly string[], entry: TarEntry): OpenDirectory {
    const found = this.#tree.directory(components);
    if (found !== null) return found;
    const above = this.#parent(components.slice(0, -1), entry);
    this.#tree.makeDirectory(above, components.at(-1) ?? '', (fd) =>
      setOwnerAndMode(fd, { mode: 0o755, ...this.#rules.ownerOf({ uid: 0, gid: 0 }) }),
    );
    const made = this.#tree.directory(components);
    if (made === null) throw invalid(`the archive has an entry below ${printableName(components.join('/'))}, which is not a directory`);
    return made;
  }

  /** Tries to make something, and again after taking away what is in its place. */
  #inPlaceOf<T>(parent: OpenDirectory, name: string, entry: TarEntry, make: () => T): T {
    if (this.#tree.mountedAt?.(parent, name) != null) throw inTheWay(entry);
    try {
      return make();
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      if (this.#tree.stats(parent, name)?.isDirectory() === true) this.#replaceDirectory(parent, name, entry);
      this.#tree.remove(parent, name);
      return make();
    }
  }

  #replaceDirectory(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const { replaces } = this.#rules;
    if (replaces === 'same-kind') throw this.#clash('directory', parent, name, 'non-directory', entry);
    if (replaces === 'all-but-full-directories') this.#requireEmpty(parent, name);
  }

  #requireEmpty(parent: OpenDirectory, name: string): void {
    try {
      removeDirectoryAt(parent.fd, name);
    } catch (error) {
      if (!isErrno(error, 'ENOTEMPTY')) throw error;
      const path = printableName([...parent.path, name].join('/'));
      throw invalid(`the archive has something else where ${this.#rules.what} has the directory ${path}, which is not empty`);
    }
  }

  #clash(there: string, parent: OpenDirectory, name: string, coming: string, entry: TarEntry): Error {
    const path = printableName(`/${[...parent.path, name].join('/')}`);
    return invalid(`cannot overwrite ${there} ${path} with ${coming} ${printableName(entry.path)}`);
  }

  /** What is open: owner first, as it clears setuid bits and capabilities. */
  #finishOpen(fd: number, entry: TarEntry): void {
    setOwnerAndMode(fd, entry);
    for (const [name, value] of entry.extendedAttributes) {
      if (this.#rules.keepAttribute(name)) this.#tolerating(() => setAttribute(fd, name, value));
    }
  }

  #finishByName(parent: OpenDirectory, name: string, entry: TarEntry): void {
    for (const [attribute, value] of entry.extendedAttributes) {
      if (this.#rules.keepAttribute(attribute)) {
        this.#tolerating(() => setAttributeOfPath(pathAt(parent.fd, name), attribute, value));
      }
    }
    setTimesAt(parent.fd, name, entry.modifiedAt);
  }

  #tolerating(set: () => void): void {
    try {
      set();
    } catch (error) {
      if (!this.#rules.toleratesMissingAttributes || !isErrno(error, 'EOPNOTSUPP', 'EPERM')) throw error;
    }
  }

  #rememberTime(path: readonly string[], time: TarEntry['modifiedAt']): void {
    const key = path.join('/');
    if (!this.#directoryTimes.has(key)) this.#trackedBytes += key.length + 64;
    if (this.#trackedBytes > DIRECTORY_NAME_BYTES) {
      throw invalid(`the names of the archive's directories take more than ${DIRECTORY_NAME_BYTES} bytes, the limit`);
    }
    this.#directoryTimes.set(key, time);
  }
}

/** Only what is in it changes: it has its owner and mode from somewhere else. */
function openMounted(pinned: number, entry: TarEntry): number {
  if (!fstatSync(pinned).isFile()) throw inTheWay(entry);
  return openAt(AT_FDCWD, `/proc/self/fd/${pinned}`, O_WRONLY | O_TRUNC);
}

function inTheWay(entry: TarEntry): Error {
  return invalid(`cannot replace ${printableName(entry.path)} by a ${entry.type}: something is mounted there`);
}

/** Absolute paths start at the tree's root; `..` is taken back by its text, and refused where it leads out. */
function componentsInside(path: string, entry: TarEntry): string[] {
  const result: string[] = [];
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') result.push(name);
    else if (result.pop() === undefined) throw invalid(`the archive has an entry that leads out of it: ${printableName(entry.path)}`);
  }
  return result;
}

const zeros = Buffer.alloc(64 * 1024);

/** Chunks of nothing become holes. */
function isZero(bytes: Uint8Array): boolean {
  if (bytes.length < 512 || bytes[0] !== 0 || bytes.at(-1) !== 0) return false;
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (zeros.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}

/** What the kernel would cut short or read as "leave as it is" (an id of -1). */
function checkNumbers(entry: TarEntry): void {
  if (entry.uid >= 0xffffffff || entry.gid >= 0xffffffff) {
    throw invalid(`the archive has an entry whose owner ${entry.uid}:${entry.gid} is out of range: ${printableName(entry.path)}`);
  }
  if (entry.deviceMajor > 0xfff || entry.deviceMinor > 0xfffff) {
    throw invalid(
      `the archive has a device ${entry.deviceMajor}:${entry.deviceMinor}, which is out of range: ${printableName(entry.path)}`,
    );
  }
}

function missingTarget(entry: TarEntry): Error {
  return invalid(`the archive has a hard link ${printableName(entry.path)} to ${printableName(entry.linkTarget)}, which is not there`);
}

/** What the kernel says of a call that the archive's values made wrong is the archive's fault; the rest is ours or the disk's. */
function explained(error: unknown, entry: TarEntry): unknown {
  if (!(error instanceof SystemCallError)) return error;
  if (error.errnoName === 'EROFS') return readOnly(error, entry);
  if (!archiveErrnos.includes(error.errnoName) && !(error.call.endsWith('setxattr') && error.errnoName === 'EOPNOTSUPP')) return error;
  return invalid(`cannot import ${printableName(entry.path)} (${entry.type}): ${error.message}`, { cause: error });
}

function readOnly(cause: SystemCallError, entry: TarEntry): EngineError {
  return new EngineError('forbidden', `cannot write ${printableName(entry.path)}: what it lies on is mounted read-only`, { cause });
}
