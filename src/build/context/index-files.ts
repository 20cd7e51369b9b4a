/**
 * Digests of files that a program put there (git), or a download: read once, by descriptors, no link followed. Those of git get the modes that contexts of git have, and one time, so
 * that two clones are alike.
 */
import { createHash, hash } from 'node:crypto';
import { type BigIntStats, lchownSync, readlinkSync, readSync } from 'node:fs';
import { decodeName, printableName } from '../../base/byte-name.ts';
import { invalid } from '../../base/errors.ts';
import type { ListedTime } from '../../base/file-list.ts';
import {
  AT_FDCWD,
  changeModeAt,
  closeDescriptor,
  fileTimeOf,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  openRegularFile,
  pathAt,
  setTimesAt,
} from '../../linux/file-calls.ts';
import { type TreeVisitor, walkTree } from '../../linux/walk-tree.ts';
import { OwnTree, setTimesOfDirectory } from '../../store/own-tree.ts';
import { digestOfContext, type IndexEntry, sortedByPath, writeContextIndex } from './context-index.ts';
import type { ContextJob, WrittenContext } from './context-job.ts';
import { type ContextLimits, contextNameBytes } from './context-tree.ts';

const READ_BYTES = 1024 * 1024;

export function indexFiles(
  { places, time, modes, limits }: Extract<ContextJob, { kind: 'index' }>,
  checkpoint: () => void,
): WrittenContext {
  const root = openAt(AT_FDCWD, places.files, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const modifiedAt = time === null ? null : { seconds: time, nanoseconds: 0 };
  const indexer = new Indexer(modifiedAt, modes, checkpoint, limits);
  const tree = new OwnTree(root, root, contextNameBytes, 'the build context');
  try {
    walkTree(root, indexer);
    for (const { path, type } of modifiedAt === null ? [] : indexer.entries) {
      if (type === 'directory' && modifiedAt !== null) setTimesOfDirectory(tree, path.split('/'), modifiedAt);
    }
  } finally {
    tree.close();
    closeDescriptor(root);
  }
  const entries = sortedByPath(indexer.entries);
  writeContextIndex(places.index, entries);
  return { digest: digestOfContext(entries), sizeBytes: indexer.sizeBytes };
}

class Indexer implements TreeVisitor {
  readonly entries: IndexEntry[] = [];
  sizeBytes = 0;
  readonly #time: ListedTime | null;
  readonly #modes: 'kept' | 'git';
  readonly #checkpoint: () => void;
  readonly #limits: ContextLimits;
  readonly #path: string[] = [];
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);

  constructor(time: ListedTime | null, modes: 'kept' | 'git', checkpoint: () => void, limits: ContextLimits) {
    this.#time = time;
    this.#modes = modes;
    this.#checkpoint = checkpoint;
    this.#limits = limits;
  }

  enter(directory: number, name: string, stats: BigIntStats): void {
    this.#path.push(name);
    const mode = this.#modes === 'git' ? 0o755 : Number(stats.mode & 0o7777n);
    this.#note({ type: 'directory', mode, modifiedAt: this.#timeOf(stats) });
    if (this.#modes === 'git') changeModeAt(directory, '.', mode);
  }

  leave(): void {
    this.#path.pop();
  }

  entry(parent: number, name: string, stats: BigIntStats): void {
    this.#checkpoint();
    this.#path.push(name);
    const modifiedAt = this.#timeOf(stats);
    if (stats.isFile()) this.#file(parent, name, stats, modifiedAt);
    else if (stats.isSymbolicLink()) {
      const linkTarget = decodeName(readlinkSync(pathAt(parent, name), { encoding: 'buffer' }));
      this.#note({ type: 'symbolic-link', mode: 0o777, modifiedAt, linkTarget });
    } else throw invalid(`${printableName(this.#text())} is neither a file, a directory nor a symbolic link`);
    if (this.#time !== null) setTimesAt(parent, name, this.#time);
    this.#path.pop();
  }

  #file(parent: number, name: string, stats: BigIntStats, modifiedAt: ListedTime): void {
    const mode = this.#modeOf(stats);
    if (stats.uid !== 0n || stats.gid !== 0n) lchownSync(pathAt(parent, name) as string, 0, 0);
    if (Number(stats.mode & 0o7777n) !== mode) changeModeAt(parent, name, mode);
    const { digest, sizeBytes } = this.#digest(parent, name);
    this.sizeBytes += sizeBytes;
    if (this.sizeBytes > this.#limits.bytes) throw invalid(`the files take more than ${this.#limits.bytes} bytes, the limit`);
    this.#note({ type: 'file', mode, modifiedAt, sizeBytes, digest });
  }

  #digest(parent: number, name: string): { readonly digest: string; readonly sizeBytes: number } {
    const file = openRegularFile(parent, name);
    if (file === null) throw invalid(`${printableName(this.#text())} is not a regular file any more`);
    try {
      const first = readSync(file, this.#buffer);
      if (first < this.#buffer.length) return { digest: hash('sha256', this.#buffer.subarray(0, first), 'hex'), sizeBytes: first };
      const whole = createHash('sha256').update(this.#buffer);
      let sizeBytes = first;
      for (let length = readSync(file, this.#buffer); length > 0; length = readSync(file, this.#buffer)) {
        this.#checkpoint();
        whole.update(this.#buffer.subarray(0, length));
        sizeBytes += length;
      }
      return { digest: whole.digest('hex'), sizeBytes };
    } finally {
      closeDescriptor(file);
    }
  }

  #modeOf({ mode }: BigIntStats): number {
    if (this.#modes === 'kept') return Number(mode & 0o7777n);
    return (mode & 0o111n) === 0n ? 0o644 : 0o755;
  }

  #timeOf(stats: BigIntStats): ListedTime {
    return this.#time ?? fileTimeOf(stats.mtimeNs);
  }

  #text(): string {
    return this.#path.join('/');
  }

  #note(entry: Pick<IndexEntry, 'type' | 'mode' | 'modifiedAt'> & Partial<IndexEntry>): void {
    this.entries.push({
      sizeBytes: 0,
      linkTarget: '',
      deviceMajor: 0,
      deviceMinor: 0,
      extendedAttributes: new Map(),
      ...entry,
      path: this.#text(),
    });
    if (this.entries.length > this.#limits.entries) throw invalid(`there are more than ${this.#limits.entries} entries, the limit`);
  }
}
