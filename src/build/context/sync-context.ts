/**
 * A client's folder as a context, in a worker thread: what is there already stays, what the client says is different is asked for and replaced.
 *
 *     list of files ──▶ compare with the index ──▶ which files are wanted ──▶ their contents ──▶ index
 *
 * The index goes before the first change and comes back when all is done: what has none is not trusted by anybody. Where nothing changed it stays, so that what was computed of it holds.
 * List and contents come from anywhere.
 */
import { lstatSync, readSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { printableName } from '../../base/byte-name.ts';
import { invalid } from '../../base/errors.ts';
import { FileContentsDecoder, type PieceHandler } from '../../base/file-contents.ts';
import { FileListDecoder, type ListedFile, type ListedTime } from '../../base/file-list.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { type ContextIndex, digestOfContext, type IndexEntry, parseContextIndex, readContextIndex } from './context-index.ts';
import type { WrittenContext } from './context-job.ts';
import { type ContextFile, type ContextTree, keepsAttribute } from './context-tree.ts';

const READ_BYTES = 256 * 1024;
/** Files whose contents take turns. */
const OPEN_FILES = 256;

/** Lists up to this are compared on the event loop: a millisecond or two, where a thread takes thirty to start. */
const SMALL_LIST_BYTES = 64 * 1024;

export interface SyncPlan {
  readonly entries: readonly ListedFile[];
  readonly byPath: ReadonlyMap<string, ListedFile>;
}

/** Paths are checked here: each is below a directory that was listed before it. */
export function readList(chunks: readonly Uint8Array[], maximumEntries: number): SyncPlan {
  const decoder = new FileListDecoder("the client's list of files");
  const byPath = new Map<string, ListedFile>();
  const entries: ListedFile[] = [];
  for (const chunk of chunks) {
    for (const entry of decoder.push(chunk)) {
      checkEntry(entry, byPath);
      byPath.set(entry.path, entry);
      entries.push(entry);
    }
    if (entries.length > maximumEntries) throw invalid(`the build context has more than ${maximumEntries} entries, the limit`);
  }
  decoder.end();
  return { entries, byPath };
}

function checkEntry(entry: ListedFile, byPath: ReadonlyMap<string, ListedFile>): void {
  const { path, type } = entry;
  const slash = path.lastIndexOf('/');
  const name = path.slice(slash + 1);
  const wrong = (why: string) => invalid(`the client's list of files has the path ${printableName(path)}, which ${why}`);
  if (name === '' || name === '.' || name === '..' || path.includes('\0')) throw wrong('is not a relative path without . and ..');
  if (slash >= 0 && byPath.get(path.slice(0, slash))?.type !== 'directory') throw wrong('is below no directory that was listed');
  if (byPath.has(path)) throw wrong('was listed before');
  if (type === 'character-device' && entry.deviceMajor === 0 && entry.deviceMinor === 0) throw wrong('is a device 0:0');
  if (entry.deviceMajor > 0xfff || entry.deviceMinor > 0xfffff) throw wrong('is a device whose numbers are out of range');
}

/** What the directory holds by its index; nothing when it has none. */
export function indexIn(path: string): ContextIndex {
  return lstatSync(path, { throwIfNoEntry: false }) === undefined ? new Map() : readContextIndex(path);
}

/** The directory holds just what was listed: nothing is to be done, and its index stays. Hard links are looked at anew each time. */
export function isUnchanged({ entries }: SyncPlan, known: ContextIndex): boolean {
  if (entries.length !== known.size || entries.length === 0) return false;
  return entries.every((entry) => {
    const there = known.get(entry.path);
    return there !== undefined && isSame(there, entry);
  });
}

/** Removes and makes what needs no bytes; gives the indexes of the files that do. */
export function adjust(tree: ContextTree, { entries, byPath }: SyncPlan, old: ContextIndex, checkpoint: () => void): number[] {
  const touched = new Set<string>();
  removeOld(tree, byPath, old, touched);
  const wanted: number[] = [];
  for (const [index, entry] of entries.entries()) {
    const known = tree.entry(entry.path);
    if (known !== undefined && isSame(known, entry)) {
      tree.keep(entry.path, { ...known, changedAt: entry.changedAt });
      continue;
    }
    checkpoint();
    tree.settle();
    touched.add(parentOf(entry.path));
    if (entry.type === 'file') wanted.push(index);
    else if (entry.type !== 'hard-link') tree.make(parentIn(tree, entry), nameOf(entry.path), entry);
  }
  for (const path of touched) if (path !== '') tree.restoreTime(path);
  return wanted;
}

/** Parents come before what is in them, and take it with them. */
function removeOld(tree: ContextTree, byPath: SyncPlan['byPath'], old: ContextIndex, touched: Set<string>): void {
  const gone = new Set<string>();
  for (const [path, known] of old) {
    const parent = parentOf(path);
    const entry = byPath.get(path);
    const stays = entry !== undefined && (isSame(known, entry) || (known.type === 'directory' && entry.type === 'directory'));
    if (gone.has(parent)) tree.forget(path);
    else if (!stays) {
      tree.settle();
      touched.add(parent);
      tree.remove(parentIn(tree, known), nameOf(path));
    }
    if (!stays && known.type === 'directory') gone.add(path);
  }
}

export function unchangedContext(index: ContextIndex): WrittenContext {
  const sizeBytes = index.values().reduce((sum, entry) => sum + (entry.type === 'file' ? entry.sizeBytes : 0), 0);
  return { digest: digestOfContext([...index.values()]), sizeBytes };
}

/** For the event loop. Null: it changed, is not there yet, or is too large to be looked at here; whatever is wrong with it is found by the thread, too. */
export async function unchangedSmall(path: string, list: readonly Uint8Array[], maximumEntries: number): Promise<WrittenContext | null> {
  if (list.reduce((sum, { length }) => sum + length, 0) > SMALL_LIST_BYTES) return null;
  try {
    const bytes = await readFile(path);
    // The index has the digests besides.
    if (bytes.length > 3 * SMALL_LIST_BYTES) return null;
    const index = parseContextIndex(bytes, path);
    return isUnchanged(readList(list, maximumEntries), index) ? unchangedContext(index) : null;
  } catch {
    return null;
  }
}

function isSame(known: IndexEntry, entry: ListedFile): boolean {
  return (
    known.type === entry.type &&
    (known.mode === entry.mode || entry.type === 'symbolic-link') &&
    (entry.type !== 'file' || known.sizeBytes === entry.sizeBytes) &&
    isSameTime(known.modifiedAt, entry.modifiedAt) &&
    (entry.type === 'directory' || entry.changedAt === undefined || isSameTime(known.changedAt, entry.changedAt)) &&
    (entry.type !== 'symbolic-link' || known.linkTarget === entry.linkTarget) &&
    known.deviceMajor === entry.deviceMajor &&
    known.deviceMinor === entry.deviceMinor &&
    haveSameAttributes(known.extendedAttributes, entry.extendedAttributes)
  );
}

function isSameTime(a: ListedTime | undefined, b: ListedTime): boolean {
  return a?.seconds === b.seconds && a.nanoseconds === b.nanoseconds;
}

function haveSameAttributes(known: ReadonlyMap<string, Uint8Array>, listed: ReadonlyMap<string, Uint8Array>): boolean {
  if (known.size === 0 && listed.size === 0) return true;
  const kept = [...listed].filter(([name]) => keepsAttribute(name));
  return kept.length === known.size && kept.every(([name, value]) => Buffer.compare(value, known.get(name) ?? Buffer.of(0, 0)) === 0);
}

/** As 32-bit numbers, little-endian; closes the pipe. */
export function tellWanted(writeEnd: number, wanted: readonly number[]): void {
  try {
    const bytes = Buffer.from(Uint32Array.from(wanted).buffer);
    for (let done = 0; done < bytes.length; ) done += writeSync(writeEnd, bytes, done);
  } finally {
    closeDescriptor(writeEnd);
  }
}

/** The contents of the wanted files, as they come; then the hard links, which may be to any of them. */
export function fill(readEnd: number, tree: ContextTree, plan: SyncPlan, wanted: readonly number[], checkpoint: () => void): void {
  const filler = new Filler(tree, plan.entries, wanted);
  try {
    const decoder = new FileContentsDecoder(filler);
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (let length = readSync(readEnd, buffer); length > 0; length = readSync(readEnd, buffer)) {
      checkpoint();
      decoder.push(buffer.subarray(0, length));
    }
    // The pipe ends when the client left, too.
    checkpoint();
    decoder.end();
    filler.end();
  } finally {
    filler.close();
  }
  for (const entry of plan.entries) if (entry.type === 'hard-link') makeHardLink(tree, entry, plan);
  for (const path of filler.touched) if (path !== '') tree.restoreTime(path);
}

function makeHardLink(tree: ContextTree, entry: ListedFile, plan: SyncPlan): void {
  tree.settle();
  const target = plan.byPath.get(entry.linkTarget);
  if (target === undefined || target.type === 'hard-link') {
    throw invalid(
      `the client's list of files has a hard link ${printableName(entry.path)} to ${printableName(entry.linkTarget)}, which it does not have`,
    );
  }
  tree.hardLink(parentIn(tree, entry), nameOf(entry.path), parentIn(tree, target), nameOf(target.path), entry);
  tree.restoreTime(parentOf(entry.path));
}

class Filler implements PieceHandler {
  readonly touched = new Set<string>();
  readonly #tree: ContextTree;
  readonly #entries: readonly ListedFile[];
  readonly #wanted: Set<number>;
  readonly #open = new Map<number, ContextFile>();

  constructor(tree: ContextTree, entries: readonly ListedFile[], wanted: readonly number[]) {
    this.#tree = tree;
    this.#entries = entries;
    this.#wanted = new Set(wanted);
  }

  piece(index: number, bytes: Buffer, isLast: boolean): void {
    const file = this.#open.get(index) ?? this.#begin(index);
    file.write(bytes, file.writtenBytes, isLast);
    if (!isLast) return;
    this.#open.delete(index);
    file.finish();
  }

  end(): void {
    const [missing] = [...this.#open.keys(), ...this.#wanted];
    if (missing === undefined) return;
    throw invalid(`the client did not send all of ${printableName(this.#entries[missing]?.path ?? '')} of the build context`);
  }

  close(): void {
    for (const file of this.#open.values()) file.abandon();
    this.#open.clear();
  }

  #begin(index: number): ContextFile {
    const entry = this.#entries[index];
    if (entry === undefined || !this.#wanted.delete(index)) throw invalid(`the client sent a file (${index}) that it was not asked for`);
    if (this.#open.size >= OPEN_FILES) throw invalid(`the client sends more than ${OPEN_FILES} files at once, the limit`);
    this.#tree.settle();
    this.touched.add(parentOf(entry.path));
    const file = this.#tree.file(parentIn(this.#tree, entry), nameOf(entry.path), entry);
    this.#open.set(index, file);
    return file;
  }
}

function parentIn(tree: ContextTree, { path }: ListedFile) {
  const parent = parentOf(path);
  const found = tree.exactParent(parent === '' ? [] : parent.split('/'));
  if (found === null) throw invalid(`${printableName(parent)} of the build context is not a directory any more`);
  return found;
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
