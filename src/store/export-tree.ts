/**
 * A directory tree as a tar archive into a pipe, in the order of names, from a worker thread: a slow reader holds the thread, not memory. Files that change
 * their size meanwhile keep the size they had when their turn came (cut, or filled with zeros). Sockets are left out: no archive can hold one.
 */
import { type BigIntStats, fstatSync, readlinkSync, readSync, writeSync } from 'node:fs';
import { paddingBytes, type TarEntryType } from '../archive/tar-entry.ts';
import { encodeTarHeader, endOfArchive, type NewTarEntry } from '../archive/tar-writer.ts';
import { decodeName, printableName } from '../base/byte-name.ts';
import { hasErrnoCode, invalid } from '../base/errors.ts';
import { readAttributes, readAttributesOfPath } from '../linux/extended-attributes.ts';
import {
  AT_FDCWD,
  closeDescriptor,
  type FileTime,
  fileTimeOf,
  majorOf,
  minorOf,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  openRegularFile,
  pathAt,
  readPinnedLink,
} from '../linux/file-calls.ts';
import { type TreeVisitor, walkTree } from '../linux/walk-tree.ts';

const BUFFER_BYTES = 256 * 1024;

export interface ExportRules {
  /** In front of every path: `etc`, `.`, `/`; '' for none. */
  readonly prefix: string;
  keepAttribute(name: string): boolean;
  /** The id that the archive names for one that a file has; absent: the same. */
  shownId?(id: number): number;
  /** The time of every entry; absent: its own. */
  readonly modifiedAt?: FileTime;
  /** Asked before each entry; throws to end the export. */
  checkpoint(): void;
  /** An O_PATH descriptor of what is to be seen at a place (names from the root of the walk) instead of what lies there; stays its owner's. */
  standInFor?(path: readonly string[]): number | null;
}

export function exportTree(root: number, writeEnd: number, checkpoint: () => void): void {
  const archive = new ArchivePipe(writeEnd);
  const rules: ExportRules = { prefix: '', keepAttribute: () => true, checkpoint };
  archive.header({ type: 'directory', path: '.', ...attributesOf(root, '.', rules) });
  walkTree(root, new TreeExporter(archive, rules));
  archive.end();
}

export class TreeExporter implements TreeVisitor {
  readonly #archive: ArchivePipe;
  readonly #rules: ExportRules;
  readonly #path: string[] = [];
  /** Device and inode of files with several names → the first of them. */
  readonly #seen = new Map<string, string>();

  constructor(archive: ArchivePipe, rules: ExportRules) {
    this.#archive = archive;
    this.#rules = rules;
  }

  takes(_parent: number, name: string, _stats: BigIntStats): boolean {
    const standIn = this.#rules.standInFor?.([...this.#path, name]) ?? null;
    if (standIn === null) return false;
    const stats = fstatSync(standIn, { bigint: true });
    if (!stats.isDirectory()) {
      this.pinned(standIn, this.#pathOf(name));
      return true;
    }
    const directory = openAt(AT_FDCWD, `/proc/self/fd/${standIn}`, O_RDONLY | O_DIRECTORY);
    try {
      this.enter(directory, name);
      walkTree(directory, this);
      this.leave();
    } finally {
      closeDescriptor(directory);
    }
    return true;
  }

  enter(directory: number, name: string): void {
    this.#rules.checkpoint();
    this.#path.push(name);
    this.directory(directory, this.#pathOf());
  }

  leave(): void {
    this.#path.pop();
  }

  entry(parent: number, name: string, stats: BigIntStats): void {
    this.#rules.checkpoint();
    const path = this.#pathOf(name);
    const identity = `${stats.dev}:${stats.ino}`;
    const first = stats.nlink > 1n ? this.#seen.get(identity) : undefined;
    if (first !== undefined) {
      // Docker's unpacker gives the file the attributes of its last link.
      this.#archive.header({ type: 'hard-link', path, linkTarget: first, ...attributesFrom(stats, new Map(), path, this.#rules) });
      return;
    }
    const written = stats.isFile() ? this.#file(parent, name, path) : this.#special(parent, name, path, stats);
    if (written && stats.nlink > 1n) this.#seen.set(identity, path);
  }

  /** How many directories below the root of the walk we are. */
  get depth(): number {
    return this.#path.length;
  }

  /** The entry of a directory whose content is left out. */
  emptyDirectory(parent: number, name: string): void {
    const directory = openAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      this.directory(directory, this.#pathOf(name));
    } finally {
      closeDescriptor(directory);
    }
  }

  /** The entry of an open directory; what is in it is the caller's to walk. */
  directory(directory: number, path: string): void {
    this.#archive.header({ type: 'directory', path, ...attributesOf(directory, path, this.#rules) });
  }

  /** The entry of anything but a directory that an O_PATH descriptor pins. */
  pinned(pinned: number, path: string): void {
    const stats = fstatSync(pinned, { bigint: true });
    if (stats.isFile()) {
      this.#fileOf(openAt(AT_FDCWD, `/proc/self/fd/${pinned}`, O_RDONLY), path);
      return;
    }
    const type = specialType(stats);
    if (type === null) return;
    const linkTarget = type === 'symbolic-link' ? readPinnedLink(pinned) : '';
    this.#archive.header({ type, path, linkTarget, ...devicesOf(type, stats), ...attributesFrom(stats, new Map(), path, this.#rules) });
  }

  #pathOf(name?: string): string {
    const path = (name === undefined ? this.#path : [...this.#path, name]).join('/');
    const { prefix } = this.#rules;
    return prefix === '' ? path : `${prefix === '/' ? '' : prefix}/${path}`;
  }

  #file(parent: number, name: string, path: string): boolean {
    const file = openRegularFile(parent, name);
    if (file === null) return false;
    this.#fileOf(file, path);
    return true;
  }

  #fileOf(file: number, path: string): void {
    try {
      const sizeBytes = Number(fstatSync(file, { bigint: true }).size);
      this.#archive.header({ type: 'file', path, sizeBytes, ...attributesOf(file, path, this.#rules) });
      this.#archive.content(file, sizeBytes, this.#rules.checkpoint);
    } finally {
      closeDescriptor(file);
    }
  }

  #special(parent: number, name: string, path: string, stats: BigIntStats): boolean {
    const type = specialType(stats);
    if (type === null) return false;
    const source = pathAt(parent, name);
    const linkTarget = type === 'symbolic-link' ? readLinkIfThere(source) : '';
    if (linkTarget === null) return false;
    const extended = readAttributesOfPath(source, this.#rules.keepAttribute);
    this.#archive.header({ type, path, linkTarget, ...devicesOf(type, stats), ...attributesFrom(stats, extended, path, this.#rules) });
    return true;
  }
}

/** Collects headers and small files: a write for each would take most of the time. */
export class ArchivePipe {
  readonly #writeEnd: number;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #length = 0;

  constructor(writeEnd: number) {
    this.#writeEnd = writeEnd;
  }

  header(entry: NewTarEntry): void {
    this.write(encodeTarHeader(entry));
  }

  write(bytes: Uint8Array): void {
    if (this.#length + bytes.length > BUFFER_BYTES) this.flush();
    if (bytes.length > BUFFER_BYTES) {
      writeAll(this.#writeEnd, bytes, bytes.length);
      return;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  content(file: number, sizeBytes: number, checkpoint: () => void): void {
    for (let left = sizeBytes; left > 0; ) {
      if (this.#length === BUFFER_BYTES) {
        checkpoint();
        this.flush();
      }
      const room = Math.min(left, BUFFER_BYTES - this.#length);
      const read = readSync(file, this.#buffer, this.#length, room, sizeBytes - left);
      if (read === 0) this.#buffer.fill(0, this.#length, this.#length + room);
      const length = read === 0 ? room : read;
      this.#length += length;
      left -= length;
    }
    this.write(endOfArchive.subarray(0, paddingBytes(sizeBytes)));
  }

  end(): void {
    this.write(endOfArchive);
    this.flush();
  }

  flush(): void {
    writeAll(this.#writeEnd, this.#buffer, this.#length);
    this.#length = 0;
  }
}

function writeAll(fd: number, bytes: Uint8Array, length: number): void {
  for (let done = 0; done < length; ) done += writeSync(fd, bytes, done, length - done);
}

function attributesOf(file: number, path: string, rules: ExportRules): Partial<NewTarEntry> {
  return attributesFrom(fstatSync(file, { bigint: true }), readAttributes(file, rules.keepAttribute), path, rules);
}

function attributesFrom(
  stats: BigIntStats,
  extendedAttributes: ReadonlyMap<string, Buffer>,
  path: string,
  { shownId = (id) => id, modifiedAt }: ExportRules,
): Partial<NewTarEntry> {
  for (const name of extendedAttributes.keys()) {
    // A PAX record ends its key there.
    if (name.includes('=')) throw invalid(`cannot export ${printableName(path)}: no archive can hold its attribute ${printableName(name)}`);
  }
  return {
    mode: Number(stats.mode) & 0o7777,
    uid: shownId(Number(stats.uid)),
    gid: shownId(Number(stats.gid)),
    modifiedAt: modifiedAt ?? fileTimeOf(stats.mtimeNs),
    extendedAttributes,
  };
}

function devicesOf(type: TarEntryType, stats: BigIntStats): Partial<NewTarEntry> {
  if (type !== 'character-device' && type !== 'block-device') return {};
  return { deviceMajor: majorOf(stats.rdev), deviceMinor: minorOf(stats.rdev) };
}

function specialType(stats: BigIntStats): TarEntryType | null {
  if (stats.isSymbolicLink()) return 'symbolic-link';
  if (stats.isCharacterDevice()) return 'character-device';
  if (stats.isBlockDevice()) return 'block-device';
  return stats.isFIFO() ? 'fifo' : null;
}

function readLinkIfThere(path: string | Buffer): string | null {
  try {
    return decodeName(readlinkSync(path, { encoding: 'buffer' }));
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'EINVAL')) return null;
    throw error;
  }
}
