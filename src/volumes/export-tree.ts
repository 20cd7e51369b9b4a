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
import { closeDescriptor, fileTimeOf, majorOf, minorOf, openRegularFile, pathAt } from '../linux/file-calls.ts';
import { type TreeVisitor, walkTree } from '../linux/walk-tree.ts';

const BUFFER_BYTES = 256 * 1024;

export function exportTree(root: number, writeEnd: number, checkpoint: () => void): void {
  const archive = new ArchivePipe(writeEnd);
  archive.header({
    type: 'directory',
    path: '.',
    ...attributesOf(
      fstatSync(root, { bigint: true }),
      readAttributes(root, () => true),
      '.',
    ),
  });
  walkTree(root, new Exporter(archive, checkpoint));
  archive.write(endOfArchive);
  archive.flush();
}

class Exporter implements TreeVisitor {
  readonly #archive: ArchivePipe;
  readonly #checkpoint: () => void;
  readonly #path: string[] = [];
  /** Device and inode of files with several names → the first of them. */
  readonly #seen = new Map<string, string>();

  constructor(archive: ArchivePipe, checkpoint: () => void) {
    this.#archive = archive;
    this.#checkpoint = checkpoint;
  }

  enter(directory: number, name: string, stats: BigIntStats): void {
    this.#checkpoint();
    this.#path.push(name);
    const path = this.#path.join('/');
    this.#archive.header({
      type: 'directory',
      path,
      ...attributesOf(
        stats,
        readAttributes(directory, () => true),
        path,
      ),
    });
  }

  leave(): void {
    this.#path.pop();
  }

  entry(parent: number, name: string, stats: BigIntStats): void {
    this.#checkpoint();
    const path = [...this.#path, name].join('/');
    const identity = `${stats.dev}:${stats.ino}`;
    const first = stats.nlink > 1n ? this.#seen.get(identity) : undefined;
    if (first !== undefined) {
      this.#archive.header({ type: 'hard-link', path, linkTarget: first });
      return;
    }
    const written = stats.isFile() ? this.#file(parent, name, path) : this.#special(parent, name, path, stats);
    if (written && stats.nlink > 1n) this.#seen.set(identity, path);
  }

  #file(parent: number, name: string, path: string): boolean {
    const file = openRegularFile(parent, name);
    if (file === null) return false;
    try {
      const stats = fstatSync(file, { bigint: true });
      const sizeBytes = Number(stats.size);
      this.#archive.header({
        type: 'file',
        path,
        sizeBytes,
        ...attributesOf(
          stats,
          readAttributes(file, () => true),
          path,
        ),
      });
      this.#archive.content(file, sizeBytes);
    } finally {
      closeDescriptor(file);
    }
    return true;
  }

  #special(parent: number, name: string, path: string, stats: BigIntStats): boolean {
    const type = specialType(stats);
    if (type === null) return false;
    const source = pathAt(parent, name);
    const linkTarget = type === 'symbolic-link' ? readLinkIfThere(source) : '';
    if (linkTarget === null) return false;
    const devices =
      type === 'symbolic-link' || type === 'fifo' ? {} : { deviceMajor: majorOf(stats.rdev), deviceMinor: minorOf(stats.rdev) };
    this.#archive.header({
      type,
      path,
      linkTarget,
      ...devices,
      ...attributesOf(
        stats,
        readAttributesOfPath(source, () => true),
        path,
      ),
    });
    return true;
  }
}

/** Collects headers and small files: a write for each would take most of the time. */
class ArchivePipe {
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

  content(file: number, sizeBytes: number): void {
    for (let left = sizeBytes; left > 0; ) {
      if (this.#length === BUFFER_BYTES) this.flush();
      const room = Math.min(left, BUFFER_BYTES - this.#length);
      const read = readSync(file, this.#buffer, this.#length, room, sizeBytes - left);
      if (read === 0) this.#buffer.fill(0, this.#length, this.#length + room);
      const length = read === 0 ? room : read;
      this.#length += length;
      left -= length;
    }
    this.write(endOfArchive.subarray(0, paddingBytes(sizeBytes)));
  }

  flush(): void {
    writeAll(this.#writeEnd, this.#buffer, this.#length);
    this.#length = 0;
  }
}

function writeAll(fd: number, bytes: Uint8Array, length: number): void {
  for (let done = 0; done < length; ) done += writeSync(fd, bytes, done, length - done);
}

function attributesOf(stats: BigIntStats, extendedAttributes: ReadonlyMap<string, Buffer>, path: string): Partial<NewTarEntry> {
  for (const name of extendedAttributes.keys()) {
    // A PAX record ends its key there.
    if (name.includes('=')) throw invalid(`cannot export ${printableName(path)}: no archive can hold its attribute ${printableName(name)}`);
  }
  return {
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    modifiedAt: fileTimeOf(stats.mtimeNs),
    extendedAttributes,
  };
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
