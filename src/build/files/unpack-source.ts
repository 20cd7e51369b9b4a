/**
 * ADD of an archive: unpacked into a directory of the work first, by the writer of layers, which keeps hostile names inside; then planned on top of the tree. Unlike a copied directory, what
 * an archive holds replaces what is there, whatever it is; owners are the archive's.
 */
import { createReadStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { decompress } from '../../archive/compression.ts';
import { BLOCK_BYTES, type TarEntry } from '../../archive/tar-entry.ts';
import { isZeroBlock, parseHeader } from '../../archive/tar-header.ts';
import { type TarHandler, TarReader } from '../../archive/tar-reader.ts';
import { printableName } from '../../base/byte-name.ts';
import { EngineError, invalid } from '../../base/errors.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { openRoot } from '../../linux/path-in-root.ts';
import { placeOf } from '../../store/entry-path.ts';
import { type Found, hostPath, LayerStack } from '../../store/layer-stack.ts';
import { LayerWriter } from '../../store/layer-writer.ts';
import { OwnTree } from '../../store/own-tree.ts';
import { defaultUnpackLimits } from '../../store/unpack-limits.ts';
import type { FileOwner } from './file-owner.ts';
import { keptAttributesOfPath } from './kept-attributes.ts';
import { type FilePlanner, specialNode } from './plan-files.ts';
import { type FileContent, notDirectory, type PlannedDirectory, type PlannedNode } from './planned-tree.ts';
import { type SourceFilter, type SourceVisitor, walkSource } from './source-files.ts';

export interface UnpackedArchive {
  readonly root: Found;
  /** Directories that the archive has entries for; others are only on the way to them. */
  readonly listed: ReadonlySet<string>;
}

/** What it says, not its name, decides: it can be decompressed and begins with the header of an entry. Compression that we can't undo is an error. */
export async function isArchive(path: string): Promise<boolean> {
  let start = Buffer.alloc(0);
  try {
    for await (const chunk of decompress(createReadStream(hostPath(path), { highWaterMark: 64 * 1024 }))) {
      start = Buffer.concat([start, chunk]);
      if (start.length >= BLOCK_BYTES) break;
    }
    if (start.length < BLOCK_BYTES || isZeroBlock(start)) return false;
    parseHeader(start.subarray(0, BLOCK_BYTES));
    return true;
  } catch (error) {
    if (error instanceof EngineError && error.code === 'invalid') return false;
    throw error;
  }
}

/** `directory` is made. */
export async function unpackArchive(path: string, directory: string, checkpoint: () => void): Promise<UnpackedArchive> {
  for (const name of ['', 'fs', 'trash']) mkdirSync(join(directory, name), { mode: 0o755 });
  const root = openRoot(join(directory, 'fs'));
  const trash = openRoot(join(directory, 'trash'));
  const writer = new ArchiveWriter(new OwnTree(root, trash, defaultUnpackLimits.nameBytes, 'the archive'));
  try {
    const reader = new TarReader(writer, defaultUnpackLimits);
    for await (const chunk of decompress(createReadStream(hostPath(path), { highWaterMark: 256 * 1024 }))) {
      checkpoint();
      reader.push(chunk);
    }
    reader.end();
    writer.finish();
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.code, `cannot unpack ${printableName(path.split('/').at(-1) ?? path)}: ${error.message}`, { cause: error });
  } finally {
    writer.close();
    closeDescriptor(trash);
    closeDescriptor(root);
  }
  const found = new LayerStack([join(directory, 'fs')]).lookup([]);
  if (found === null) throw new EngineError('system', `${directory} is gone`);
  return { root: found, listed: writer.listed };
}

/** The names of whiteouts mean nothing in an archive that is no layer; no layer could hold them. */
class ArchiveWriter implements TarHandler {
  readonly #writer: LayerWriter;
  readonly listed = new Set<string>();

  constructor(tree: OwnTree) {
    // On top of nothing: parents that are not listed are made.
    this.#writer = new LayerWriter(tree, new LayerStack([]), defaultUnpackLimits);
  }

  entry(entry: TarEntry): void {
    if (entry.path.split('/').some((name) => name.startsWith('.wh.'))) {
      throw invalid(`${printableName(entry.path)} can't be in a layer: names that start with .wh. say there what was removed`);
    }
    const place = placeOf(entry.path);
    if (place.kind !== 'entry') return;
    if (entry.type === 'directory') this.listed.add([...place.parent, place.name].join('/'));
    this.#writer.entry(entry);
  }

  content(bytes: Uint8Array, offset: number): void {
    this.#writer.content(bytes, offset);
  }

  endOfEntry(): void {
    this.#writer.endOfEntry();
  }

  finish(): void {
    this.#writer.finish();
  }

  close(): void {
    this.#writer.close();
  }
}

export interface ArchiveRules {
  /** Null: the archive's. */
  readonly owner: FileOwner | null;
  readonly epoch: number;
  readonly filter: SourceFilter;
  checkpoint(): void;
}

/** Puts what was unpacked where the planner's destination is. */
export function planArchive({ root, listed }: UnpackedArchive, planner: FilePlanner, rules: ArchiveRules): void {
  const { owner, epoch, filter, checkpoint } = rules;
  const linked = new Map<string, FileContent>();
  const { tree } = planner;
  const trail = [planner.directoryTo().directory];
  const here = () => trail.at(-1) ?? tree.root;

  const directory = (above: PlannedDirectory, name: string, found: Found): PlannedDirectory => {
    const existing = tree.look(above, name);
    const path = found.resolved.join('/');
    if (!listed.has(path) && existing !== null) return existing.kind === 'directory' ? existing : throughLink(path);
    const attributes = { ...ownOf(found), modifiedAt: epoch, extendedAttributes: keptAttributesOfPath(hostPath(found.path)) };
    if (existing?.kind !== 'directory') return tree.makeDirectory(above, name, attributes);
    existing.attributes = attributes;
    return existing;
  };
  /** The archive does not say what it is: where a link of the tree leads. */
  const throughLink = (path: string): PlannedDirectory => {
    const place = tree.resolve(`${planner.destination}/${path}`);
    if (place.other !== null) throw notDirectory([...place.path, place.other]);
    return tree.directoryAt(place, planner.newDirectory);
  };
  const ownOf = ({ stats }: Found) => ({ mode: stats.mode & 0o7777, uid: owner?.uid ?? stats.uid, gid: owner?.gid ?? stats.gid });
  const node = (found: Found): PlannedNode => {
    const { stats } = found;
    const attributes = { ...ownOf(found), modifiedAt: epoch };
    if (!stats.isFile()) return specialNode(found, attributes);
    const identity = `${stats.dev}:${stats.ino}`;
    const content = linked.get(identity) ?? {
      ...attributes,
      sizeBytes: stats.size,
      from: { kind: 'path', path: found.path, isOurs: true },
    };
    if (stats.nlink > 1) linked.set(identity, content);
    return { kind: 'file', content };
  };

  const visitor: SourceVisitor = {
    enter: (name, found) => void trail.push(directory(here(), name, found)),
    leave: () => void trail.pop(),
    entry: (name, found) => void here().children.set(name, node(found)),
  };
  walkSource({ name: '', path: '', found: root, filter }, visitor, checkpoint);
}
