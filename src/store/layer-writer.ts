/**
 * Writes the entries of one layer's tar into a directory as overlay wants it: whiteouts are character devices 0/0, opaque directories carry an attribute.
 *
 * A layer is first written by itself, so that the directory can serve in any image. Where that would be wrong, because the archive leaves something to the
 * layers below (a parent directory that it does not list, a hard link to a file it does not hold), writing stops with `NeedsParents` and is done again with
 * the layers below at hand: then what is missing is copied up from them, as overlay itself would do.
 *
 * Later entries replace earlier ones of the same name. Nothing outside the directory is ever touched; see `own-tree.ts`.
 */
import { ftruncateSync, writeSync } from 'node:fs';
import type { TarEntry } from '../archive/tar-entry.ts';
import type { TarHandler } from '../archive/tar-reader.ts';
import { printableName } from '../base/byte-name.ts';
import { EngineError, invalid, SystemCallError } from '../base/errors.ts';
import { setAttribute, setAttributeOfPath } from '../linux/extended-attributes.ts';
import { isErrno } from '../linux/ffi.ts';
import {
  changeModeAt,
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
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  setTimes,
  setTimesAt,
  unlinkAt,
} from '../linux/file-calls.ts';
import { placeOf } from './entry-path.ts';
import type { LayerRecord, RootAttributes } from './layer-record.ts';
import { isWhiteout, type LayerStack } from './layer-stack.ts';
import { copyUp, MergedWalk, NeedsParents } from './merged-walk.ts';
import type { OpenDirectory } from './open-directories.ts';
import { type OwnTree, setOwnerAndMode, setTimesOfDirectory } from './own-tree.ts';
import type { UnpackLimits } from './unpack-limits.ts';

export type LayerFacts = Omit<LayerRecord, 'diffId'>;

const deviceTypes = { 'character-device': S_IFCHR, 'block-device': S_IFBLK, fifo: S_IFIFO } as const;
const archiveErrnos = ['ENAMETOOLONG', 'EINVAL', 'ELOOP', 'ENOTDIR', 'EPERM', 'EMLINK', 'EOVERFLOW', 'ERANGE', 'E2BIG', 'EFBIG'];
const OPAQUE_ATTRIBUTE = 'trusted.overlay.opaque';

export class LayerWriter implements TarHandler {
  readonly #tree: OwnTree;
  readonly #lowers: LayerStack | null;
  readonly #walk: MergedWalk;
  readonly #limits: UnpackLimits;

  /** The file that content is being written to. */
  #file: { readonly fd: number; readonly entry: TarEntry } | null = null;
  #entries = 0;
  #fileBytes = 0;
  #root: RootAttributes | null = null;
  #rootOpaque = false;
  /** Paths of the tree (joined by slashes) whose lower content is hidden. */
  readonly #opaque = new Set<string>();
  readonly #whiteouts = new Map<string, Set<string>>();
  readonly #directoryTimes = new Map<string, TarEntry['modifiedAt']>();
  #trackedBytes = 0;

  /** `lowers` is null at the first try, by itself. */
  constructor(tree: OwnTree, lowers: LayerStack | null, limits: UnpackLimits) {
    this.#tree = tree;
    this.#lowers = lowers;
    this.#limits = limits;
    this.#walk = new MergedWalk(tree, lowers, {
      isHidden: (path) => this.#isHidden(path),
      madeDirectory: (path, time) => this.#rememberTime(path, time),
      replacedByDirectory: (parent, name) => this.#hideBelow([...parent.path, name]),
    });
  }

  entry(entry: TarEntry): void {
    this.#tree.settle();
    try {
      checkNumbers(entry);
      this.#entry(entry);
    } catch (error) {
      throw explained(error, entry);
    }
  }

  content(bytes: Uint8Array, offset: number): void {
    if (this.#file === null) return;
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#file.fd, bytes, done, bytes.length - done, offset + done);
  }

  endOfEntry(): void {
    if (this.#file === null) return;
    const { fd, entry } = this.#file;
    this.#file = null;
    try {
      if (entry.extents !== null) ftruncateSync(fd, entry.sizeBytes);
      setOwnerAndMode(fd, entry);
      this.#setAttributes(fd, entry);
      setTimes(fd, entry.modifiedAt);
    } catch (error) {
      throw explained(error, entry);
    } finally {
      closeDescriptor(fd);
    }
  }

  /** After the last entry: what can only be known or set at the end. */
  finish(): LayerFacts {
    const whiteoutDirectories = this.#settleWhiteouts();
    for (const [path, time] of this.#directoryTimes) setTimesOfDirectory(this.#tree, split(path), time);
    setTimesOfDirectory(this.#tree, [], this.#root?.modifiedAt ?? { seconds: 0, nanoseconds: 0 });
    return { sizeBytes: this.#fileBytes, entries: this.#entries, root: this.#root, rootOpaque: this.#rootOpaque, whiteoutDirectories };
  }

  /** Also after an error. */
  close(): void {
    if (this.#file !== null) closeDescriptor(this.#file.fd);
    this.#file = null;
    this.#tree.close();
  }

  #entry(entry: TarEntry): void {
    const place = placeOf(entry.path);
    if (place.kind === 'ignored') return;
    this.#entries++;
    if (place.kind === 'root') this.#setRoot(entry);
    else if (place.kind === 'opaque') this.#makeOpaque(this.#parent(place.parent, entry).path);
    else if (place.kind === 'whiteout') this.#hideLower(place.parent, place.name, entry);
    else if (!isRawWhiteout(entry)) this.#make(this.#parent(place.parent, entry), place.name, entry);
  }

  #make(parent: OpenDirectory, name: string, entry: TarEntry): void {
    this.#tree.checkLength(parent, name);
    if (entry.type === 'directory') this.#makeDirectory(parent, name, entry);
    else if (entry.type === 'file') this.#openFile(parent, name, entry);
    else if (entry.type === 'hard-link') this.#makeHardLink(parent, name, entry);
    else if (entry.type === 'symbolic-link') this.#makeSymbolicLink(parent, name, entry);
    else this.#makeNode(parent, name, entry, deviceTypes[entry.type]);
  }

  #makeSymbolicLink(parent: OpenDirectory, name: string, entry: TarEntry): void {
    this.#inPlaceOf(parent, name, () => makeSymbolicLinkAt(entry.linkTarget, parent.fd, name));
    changeOwnerAt(parent.fd, name, entry.uid, entry.gid);
    this.#finishByName(parent, name, entry);
  }

  #makeNode(parent: OpenDirectory, name: string, entry: TarEntry, kind: number): void {
    this.#inPlaceOf(parent, name, () => makeNodeAt(parent.fd, name, kind | 0o600, entry.deviceMajor, entry.deviceMinor));
    changeOwnerAt(parent.fd, name, entry.uid, entry.gid);
    changeModeAt(parent.fd, name, entry.mode);
    this.#finishByName(parent, name, entry);
  }

  #setRoot(entry: TarEntry): void {
    if (entry.type !== 'directory') throw invalid(`the layer has an entry for its root that is not a directory but a ${entry.type}`);
    const fd = this.#tree.openExact([]);
    if (fd === null) throw invalid('the root of the layer is gone');
    try {
      setOwnerAndMode(fd, entry);
      this.#setAttributes(fd, entry);
    } finally {
      closeDescriptor(fd);
    }
    const { mode, uid, gid, modifiedAt } = entry;
    const attributes = [...entry.extendedAttributes].filter(([name]) => !isOverlayAttribute(name));
    const extendedAttributes = Object.fromEntries(attributes.map(([name, value]) => [name, Buffer.from(value).toString('base64')]));
    this.#root = { mode, uid, gid, modifiedAt, extendedAttributes };
  }

  #makeDirectory(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const path = [...parent.path, name];
    const existing = this.#tree.stats(parent, name);
    if (existing !== null && !existing.isDirectory()) this.#tree.remove(parent, name);
    this.#tree.makeDirectory(parent, name, (fd) => {
      setOwnerAndMode(fd, entry);
      this.#setAttributes(fd, entry);
    });
    // What stood here hid the layers below, and goes on doing so.
    if (existing !== null && !existing.isDirectory()) this.#hideBelow(path);
    this.#rememberTime(path, entry.modifiedAt);
  }

  #openFile(parent: OpenDirectory, name: string, entry: TarEntry): void {
    this.#countBytes(entry.sizeBytes);
    const fd = this.#inPlaceOf(parent, name, () => openAt(parent.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
    this.#file = { fd, entry };
  }

  #makeHardLink(parent: OpenDirectory, name: string, entry: TarEntry): void {
    const target = placeOf(entry.linkTarget);
    if (target.kind !== 'entry') throw missingTarget(entry);
    const from = this.#tree.directory(target.parent);
    const own = from === null ? null : this.#tree.stats(from, target.name);
    if (from === null || own === null || isWhiteout(own)) {
      this.#linkToLower(parent, name, target, entry);
      return;
    }
    if (own.isDirectory()) throw invalid(`the layer has a hard link to a directory: ${printableName(entry.path)}`);
    this.#link(from, target.name, parent, name, entry);
  }

  /** The file is copied up first, at its own path, as overlay does when a link to a lower file is made. */
  #linkToLower(
    parent: OpenDirectory,
    name: string,
    target: { readonly parent: readonly string[]; readonly name: string },
    entry: TarEntry,
  ): void {
    if (this.#lowers === null) throw new NeedsParents();
    const from = this.#walk.find(target.parent, entry.modifiedAt);
    const path = [...(from?.path ?? []), target.name];
    const lower = from === null || this.#isHidden(path) || this.#tree.stats(from, target.name) !== null ? null : this.#lowers.lookup(path);
    if (from === null || lower === null || lower.stats.isDirectory()) throw missingTarget(entry);
    this.#countBytes(lower.stats.isFile() ? lower.stats.size : 0);
    copyUp(lower, from, target.name);
    this.#link(from, target.name, parent, name, entry);
  }

  #link(from: OpenDirectory, fromName: string, parent: OpenDirectory, name: string, entry: TarEntry): void {
    if (this.#tree.stats(parent, name)?.ino === this.#tree.stats(from, fromName)?.ino) return;
    try {
      this.#inPlaceOf(parent, name, () => linkAt(from.fd, fromName, parent.fd, name));
    } catch (error) {
      // What was in the link's place held its target.
      throw isErrno(error, 'ENOENT') ? missingTarget(entry) : error;
    }
  }

  #hideLower(parentPath: readonly string[], name: string, entry: TarEntry): void {
    const parent = this.#walk.find(parentPath, entry.modifiedAt);
    // Neither this layer nor one below has the directory: there is nothing to hide.
    if (parent === null) return;
    const existing = this.#tree.stats(parent, name);
    if (existing?.isDirectory() === true) this.#hideBelow([...parent.path, name]);
    if (existing !== null) return;
    this.#tree.checkLength(parent, name);
    makeNodeAt(parent.fd, name, S_IFCHR, 0, 0);
    const directory = parent.path.join('/');
    const names = this.#whiteouts.get(directory) ?? new Set();
    this.#whiteouts.set(directory, names.add(name));
    this.#track(name.length + 32);
  }

  #makeOpaque(path: readonly string[]): void {
    if (path.length === 0) this.#rootOpaque = true;
    this.#hideBelow(path);
  }

  #hideBelow(path: readonly string[]): void {
    this.#opaque.add(path.join('/'));
    const fd = path.length === 0 ? null : this.#tree.openExact(path);
    if (fd === null) return;
    try {
      setAttribute(fd, OPAQUE_ATTRIBUTE, Buffer.from('y'));
    } finally {
      closeDescriptor(fd);
    }
  }

  /** True when nothing of the layers below shows at the path. */
  #isHidden(path: readonly string[]): boolean {
    if (this.#rootOpaque) return true;
    if (this.#opaque.size === 0) return false;
    return path.some((_, index) => this.#opaque.has(path.slice(0, index + 1).join('/')));
  }

  /** Whiteouts show (as `c?????????`) in a directory that is not merged with one below: they go. */
  #settleWhiteouts(): readonly string[] {
    const needed: string[] = [];
    for (const [directory, names] of this.#whiteouts) {
      const path = split(directory);
      if (this.#isHidden(path) || (this.#lowers !== null && this.#lowers.lookup(path)?.stats.isDirectory() !== true)) {
        this.#dropWhiteouts(path, names);
      } else if (path.length > 0) {
        needed.push(directory);
      }
    }
    return needed;
  }

  #dropWhiteouts(path: readonly string[], names: ReadonlySet<string>): void {
    const fd = this.#tree.openExact(path);
    if (fd === null) return;
    try {
      for (const name of names) {
        const stats = this.#tree.stats({ fd, path }, name);
        if (stats !== null && isWhiteout(stats)) unlinkAt(fd, name);
      }
    } finally {
      closeDescriptor(fd);
    }
  }

  #parent(components: readonly string[], entry: TarEntry): OpenDirectory {
    return this.#walk.findOrMake(components, entry.modifiedAt);
  }

  /** Tries to make something, and again after taking away what is in its place. */
  #inPlaceOf<T>(parent: OpenDirectory, name: string, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      this.#tree.remove(parent, name);
      return make();
    }
  }

  #finishByName(parent: OpenDirectory, name: string, entry: TarEntry): void {
    for (const [attribute, value] of entry.extendedAttributes) {
      if (isOverlayAttribute(attribute)) continue;
      setAttributeOfPath(pathAt(parent.fd, name), attribute, value);
    }
    setTimesAt(parent.fd, name, entry.modifiedAt);
  }

  #setAttributes(fd: number, entry: TarEntry): void {
    for (const [name, value] of entry.extendedAttributes) {
      if (isOverlayAttribute(name)) continue;
      setAttribute(fd, name, value);
    }
  }

  #rememberTime(path: readonly string[], time: TarEntry['modifiedAt']): void {
    const key = path.join('/');
    if (!this.#directoryTimes.has(key)) this.#track(key.length);
    this.#directoryTimes.set(key, time);
  }

  #track(bytes: number): void {
    this.#trackedBytes += bytes;
    if (this.#trackedBytes > this.#limits.directoryNameBytes) {
      throw invalid(`the names of the layer's directories take more than ${this.#limits.directoryNameBytes} bytes, the limit`);
    }
  }

  #countBytes(bytes: number): void {
    this.#fileBytes += bytes;
    if (this.#fileBytes > this.#limits.layerBytes)
      throw invalid(`the files of the layer take more than ${this.#limits.layerBytes} bytes, the limit`);
  }
}

/** What the kernel says of a call that the archive's values made wrong is the archive's fault; the rest is ours or the disk's. */
function explained(error: unknown, entry: TarEntry): unknown {
  if (!(error instanceof SystemCallError)) return error;
  const { call, errnoName } = error;
  const message = `cannot unpack ${printableName(entry.path)} (${entry.type}): ${error.message}`;
  if (archiveErrnos.includes(errnoName)) return invalid(message, { cause: error });
  if (!call.endsWith('setxattr')) return error;
  if (errnoName === 'EOPNOTSUPP') {
    return new EngineError('system', `${message}: put the data root on a file system that has such attributes`, { cause: error });
  }
  // ext4 has one block for all attributes of a file.
  return errnoName === 'ENOSPC' ? invalid(`${message}: the attribute is larger than the file system can hold`, { cause: error }) : error;
}

/** What the kernel would cut short or read as "leave as it is" (an id of -1): a device of 0:0 is a whiteout, and must not come in by overflow. */
function checkNumbers(entry: TarEntry): void {
  if (entry.uid >= 0xffffffff || entry.gid >= 0xffffffff) {
    throw invalid(`the layer has an entry whose owner ${entry.uid}:${entry.gid} is out of range: ${printableName(entry.path)}`);
  }
  if (entry.deviceMajor > 0xfff || entry.deviceMinor > 0xfffff) {
    throw invalid(`the layer has a device ${entry.deviceMajor}:${entry.deviceMinor}, which is out of range: ${printableName(entry.path)}`);
  }
}

/** An image must not speak to overlay: its whiteouts are the `.wh.` names, and nothing else is. */
function isRawWhiteout(entry: TarEntry): boolean {
  return entry.type === 'character-device' && entry.deviceMajor === 0 && entry.deviceMinor === 0;
}

function isOverlayAttribute(name: string): boolean {
  return name.startsWith('trusted.overlay.') || name.startsWith('user.overlay.');
}

function missingTarget(entry: TarEntry): Error {
  return invalid(`the layer has a hard link ${printableName(entry.path)} to ${printableName(entry.linkTarget)}, which is not there`);
}

function split(path: string): readonly string[] {
  return path === '' ? [] : path.split('/');
}
