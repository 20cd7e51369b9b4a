/**
 * Writes a planned tree: the directory and its tar at once, so that every file is read once. For worker threads.
 *
 * Nothing is shared with contexts and other layers by hard links: containers would see the number of links, and two files of one inode as one.
 */
import { fchmodSync, fchownSync, lstatSync, writeSync } from 'node:fs';
import type { NewTarEntry } from '../../archive/tar-writer.ts';
import { DirectoryChain } from '../../linux/directory-chain.ts';
import { listAttributes, readAttributes, setAttribute } from '../../linux/extended-attributes.ts';
import {
  AT_FDCWD,
  changeModeAt,
  changeOwnerAt,
  closeDescriptor,
  type FileTime,
  linkAt,
  majorOf,
  makeDirectoryAt,
  makeNodeAt,
  makeSymbolicLinkAt,
  minorOf,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  openAt,
  renameAt,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  setTimes,
  setTimesAt,
} from '../../linux/file-calls.ts';
import { hostPath } from '../../store/layer-stack.ts';
import { compareNames } from './byte-order.ts';
import { areSameAttributes, type ExtendedAttributes, isKeptAttribute, keptAttributesOfPath, OPAQUE_ATTRIBUTE } from './kept-attributes.ts';
import type { LayerTar } from './layer-tar.ts';
import { clampedTime } from './layer-times.ts';
import type { DirectoryAttributes, FileContent, PlannedDirectory, PlannedNode, PlannedSpecial } from './planned-tree.ts';

export interface WriteTarget {
  /** An open, empty directory: 0755, root. */
  readonly upper: number;
  readonly tar: LayerTar;
  readonly epoch: number;
  checkpoint(): void;
}

export function writePlanned(root: PlannedDirectory, target: WriteTarget): void {
  const writer = new PlannedWriter(target);
  try {
    writer.write(root);
  } finally {
    writer.close();
  }
}

/** A directory on the way down, made when something in it is written. */
interface Level {
  readonly name: string;
  readonly path: string;
  readonly directory: PlannedDirectory;
  attributes: DirectoryAttributes | null;
  made: boolean;
}

const nodeTypes = { fifo: S_IFIFO, 'character-device': S_IFCHR, 'block-device': S_IFBLK } as const;

class PlannedWriter {
  readonly #target: WriteTarget;
  readonly #chain: DirectoryChain;
  readonly #levels: Level[] = [];
  /** Contents that are written → their path. */
  readonly #written = new Map<FileContent, string>();
  readonly #umask = process.umask();

  constructor(target: WriteTarget) {
    this.#target = target;
    this.#chain = new DirectoryChain(target.upper);
  }

  write(root: PlannedDirectory): void {
    const { tar, upper } = this.#target;
    if (root.hides) tar.opaque('');
    let time: FileTime = { seconds: 0, nanoseconds: 0 };
    if (root.attributes !== null) {
      const entry = entryOf(root.attributes);
      tar.root(entry);
      setAttributes(upper, root.attributes);
      time = entry.modifiedAt;
    }
    this.#children(root, '');
    setTimes(upper, time);
  }

  close(): void {
    this.#chain.close();
  }

  #children({ children }: PlannedDirectory, path: string): void {
    const sorted = [...children].sort(([oneName, one], [otherName, other]) => {
      const [first, second] = [one.kind === 'whiteout', other.kind === 'whiteout'];
      return first === second ? compareNames(oneName, otherName) : first ? -1 : 1;
    });
    for (const [name, node] of sorted) {
      this.#target.checkpoint();
      if (node.kind === 'directory') this.#directory(name, `${path}${name}`, node);
      else this.#entry(name, path, node);
    }
  }

  #directory(name: string, path: string, directory: PlannedDirectory): void {
    const level: Level = { name, path, directory, attributes: null, made: false };
    this.#levels.push(level);
    if (isChange(directory)) this.#make();
    this.#children(directory, `${path}/`);
    this.#levels.pop();
    if (!level.made) return;
    setTimes(this.#chain.fd, { seconds: level.attributes?.modifiedAt ?? 0, nanoseconds: 0 });
    this.#chain.leave();
  }

  /** All directories on the way that are not there yet. */
  #make(): void {
    for (const level of this.#levels) {
      if (level.made) continue;
      const { directory, name, path } = level;
      const attributes = directory.attributes ?? attributesOfLower(directory, this.#target.epoch);
      makeDirectoryAt(this.#chain.fd, name, 0o700);
      this.#chain.enter(name);
      setAttributes(this.#chain.fd, attributes);
      this.#target.tar.entry({ type: 'directory', path, ...entryOf(attributes) });
      if (directory.hides) {
        setAttribute(this.#chain.fd, OPAQUE_ATTRIBUTE, Buffer.from('y'));
        this.#target.tar.opaque(`${path}/`);
      }
      level.attributes = attributes;
      level.made = true;
    }
  }

  #entry(name: string, directory: string, node: Exclude<PlannedNode, PlannedDirectory>): void {
    this.#make();
    const path = `${directory}${name}`;
    if (node.kind === 'file') this.#file(name, path, node.content);
    else if (node.kind === 'whiteout') {
      makeNodeAt(this.#chain.fd, name, S_IFCHR, 0, 0);
      this.#target.tar.whiteout(directory, name);
    } else this.#special(name, path, node);
  }

  #special(name: string, path: string, node: PlannedSpecial): void {
    const fd = this.#chain.fd;
    const { kind, linkTarget, uid, gid, mode } = node;
    const device = BigInt(node.device);
    const modifiedAt = { seconds: node.modifiedAt, nanoseconds: 0 };
    if (kind === 'symbolic-link') makeSymbolicLinkAt(linkTarget, fd, name);
    else makeNodeAt(fd, name, nodeTypes[kind] | 0o600, majorOf(device), minorOf(device));
    changeOwnerAt(fd, name, uid, gid);
    if (kind !== 'symbolic-link') changeModeAt(fd, name, mode);
    setTimesAt(fd, name, modifiedAt);
    const devices =
      kind === 'character-device' || kind === 'block-device' ? { deviceMajor: majorOf(device), deviceMinor: minorOf(device) } : {};
    this.#target.tar.entry({ type: kind, path, linkTarget, mode, uid, gid, modifiedAt, ...devices });
  }

  #file(name: string, path: string, content: FileContent): void {
    const { mode, uid, gid } = content;
    const modifiedAt = { seconds: content.modifiedAt, nanoseconds: 0 };
    const first = this.#written.get(content);
    if (first !== undefined) {
      linkAt(this.#target.upper, first, this.#chain.fd, name);
      this.#target.tar.entry({ type: 'hard-link', path, linkTarget: first, mode, uid, gid, modifiedAt });
      return;
    }
    this.#written.set(content, path);
    const entry = { type: 'file', path, mode, uid, gid, modifiedAt } as const;
    if (content.from.kind === 'bytes') this.#bytes(name, entry, content, content.from.bytes);
    else this.#fromPath(name, entry, content, content.from);
  }

  #bytes(name: string, entry: NewTarEntry, content: FileContent, bytes: Uint8Array): void {
    const file = this.#create(name, content);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
      setTimes(file, { seconds: content.modifiedAt, nanoseconds: 0 });
    } finally {
      closeDescriptor(file);
    }
    this.#target.tar.bytes(entry, bytes);
  }

  #fromPath(name: string, entry: NewTarEntry, content: FileContent, from: Extract<FileContent['from'], { kind: 'path' }>): void {
    const source = openAt(AT_FDCWD, from.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const names = listAttributes(source);
      const extendedAttributes = names.length === 0 ? none : readAttributes(source, isKeptAttribute);
      const whole = { ...entry, extendedAttributes };
      if (!from.isOurs || !names.every(isKeptAttribute)) {
        this.#copy(name, whole, content, source, extendedAttributes);
        return;
      }
      this.#settle(source, content, extendedAttributes);
      renameAt(AT_FDCWD, from.path, this.#chain.fd, name);
      this.#target.tar.file(whole, source, content.sizeBytes);
    } finally {
      closeDescriptor(source);
    }
  }

  #copy(name: string, entry: NewTarEntry, content: FileContent, source: number, extendedAttributes: ExtendedAttributes): void {
    const file = this.#create(name, content);
    try {
      this.#target.tar.file(entry, source, content.sizeBytes, file);
      for (const [attribute, value] of extendedAttributes) setAttribute(file, attribute, value);
      setTimes(file, { seconds: content.modifiedAt, nanoseconds: 0 });
    } finally {
      closeDescriptor(file);
    }
  }

  /** Owner and mode as they shall be: before capabilities, which a change of owner takes away. */
  #create(name: string, { mode, uid, gid }: FileContent): number {
    const isPlain = (mode & 0o7000) === 0 && (mode & this.#umask) === 0;
    const file = openAt(this.#chain.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, isPlain ? mode : 0o600);
    if (uid !== 0 || gid !== 0) fchownSync(file, uid, gid);
    if (!isPlain) fchmodSync(file, mode);
    return file;
  }

  #settle(file: number, { mode, uid, gid, modifiedAt }: FileContent, extendedAttributes: ExtendedAttributes): void {
    fchownSync(file, uid, gid);
    fchmodSync(file, mode);
    for (const [attribute, value] of extendedAttributes) setAttribute(file, attribute, value);
    setTimes(file, { seconds: modifiedAt, nanoseconds: 0 });
  }
}

const none: ExtendedAttributes = new Map();

/** Whether it is written whatever is in it. */
function isChange({ attributes, lower, hides }: PlannedDirectory): boolean {
  if (hides || lower === null) return true;
  if (attributes === null) return false;
  const { stats, path } = lower;
  if ((stats.mode & 0o7777) !== attributes.mode || stats.uid !== attributes.uid || stats.gid !== attributes.gid) return true;
  return !areSameAttributes(keptAttributesOfPath(hostPath(path)), attributes.extendedAttributes);
}

function attributesOfLower({ lower }: PlannedDirectory, epoch: number): DirectoryAttributes {
  if (lower === null) return { mode: 0o755, uid: 0, gid: 0, modifiedAt: epoch, extendedAttributes: none };
  const { mode, uid, gid, mtimeNs } = lstatSync(hostPath(lower.path), { bigint: true });
  const extendedAttributes = keptAttributesOfPath(hostPath(lower.path));
  const { seconds } = clampedTime(mtimeNs, epoch);
  return { mode: Number(mode & 0o7777n), uid: Number(uid), gid: Number(gid), modifiedAt: seconds, extendedAttributes };
}

function entryOf({ mode, uid, gid, modifiedAt, extendedAttributes }: DirectoryAttributes) {
  return { mode, uid, gid, modifiedAt: { seconds: modifiedAt, nanoseconds: 0 }, extendedAttributes };
}

function setAttributes(file: number, { mode, uid, gid, extendedAttributes }: DirectoryAttributes): void {
  if (uid !== 0 || gid !== 0) fchownSync(file, uid, gid);
  fchmodSync(file, mode);
  for (const [name, value] of extendedAttributes) setAttribute(file, name, value);
}
