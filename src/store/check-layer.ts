/**
 * Whether an unpacked layer is still what its blob says: every regular file and symbolic link of the tar, as the last entry of its name has it. Damage of the disk and
 * changes behind the store's back show here; the container would only see other bytes.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync, type Stats } from 'node:fs';
import { decompress } from '../archive/compression.ts';
import type { TarEntry } from '../archive/tar-entry.ts';
import { type TarHandler, TarReader } from '../archive/tar-reader.ts';
import { printableName } from '../base/byte-name.ts';
import { placeOf } from './entry-path.ts';
import { hostPath, LayerStack, readLink } from './layer-stack.ts';
import { defaultUnpackLimits } from './unpack-limits.ts';

export interface CheckJob {
  readonly kind: 'check';
  readonly blobPath: string;
  /** The layer's `fs`. */
  readonly directory: string;
}

export interface LayerCheck {
  readonly files: number;
  /** In words: `/etc/hosts: its content was changed`. As many as anybody reads. */
  readonly changed: readonly string[];
  readonly moreChanged: number;
}

interface Expected {
  readonly entry: Pick<TarEntry, 'type' | 'mode' | 'uid' | 'gid' | 'sizeBytes' | 'linkTarget'>;
  /** Null: a file with holes, whose size alone is compared. */
  readonly content: string | null;
}

const toldAtMost = 100;

export async function checkLayer(job: CheckJob, checkpoint: () => void): Promise<LayerCheck> {
  const expected = new ExpectedFiles();
  const tar = new TarReader(expected, defaultUnpackLimits);
  for await (const chunk of decompress(createReadStream(job.blobPath, { highWaterMark: 256 * 1024 }))) {
    checkpoint();
    tar.push(chunk);
  }
  tar.end();
  return compare(expected.files, new LayerStack([job.directory]), checkpoint);
}

class ExpectedFiles implements TarHandler {
  readonly files = new Map<string, Expected>();
  #open: { readonly path: string; readonly entry: TarEntry; readonly hash: Hash } | null = null;

  entry(entry: TarEntry): void {
    const place = placeOf(entry.path);
    if (place.kind !== 'entry') return;
    const path = [...place.parent, place.name].join('/');
    // What stood here before, and everything below it when it is no directory any more.
    this.files.delete(path);
    if (entry.type === 'file') this.#open = { path, entry, hash: createHash('sha256') };
    else if (entry.type === 'symbolic-link') this.files.set(path, { entry, content: null });
  }

  content(bytes: Uint8Array): void {
    this.#open?.hash.update(bytes);
  }

  endOfEntry(): void {
    if (this.#open === null) return;
    const { path, entry, hash } = this.#open;
    this.#open = null;
    this.files.set(path, { entry, content: entry.extents === null ? hash.digest('base64') : null });
  }
}

function compare(files: ReadonlyMap<string, Expected>, layer: LayerStack, checkpoint: () => void): LayerCheck {
  const changed: string[] = [];
  let count = 0;
  for (const [path, expected] of files) {
    checkpoint();
    const problem = problemOf(path.split('/'), expected, layer);
    if (problem === null) continue;
    count++;
    if (changed.length < toldAtMost) changed.push(`${printableName(`/${path}`)}: ${problem}`);
  }
  return { files: files.size, changed, moreChanged: count - changed.length };
}

function problemOf(components: readonly string[], { entry, content }: Expected, layer: LayerStack): string | null {
  const found = layer.lookup(components);
  if (found === null) {
    // Below a link, or replaced by a later entry of its parent: where it is then, is not for this look.
    const parent = layer.lookup(components.slice(0, -1));
    return parent?.stats.isDirectory() === true ? 'it is gone' : null;
  }
  const { stats, path } = found;
  if (entry.type === 'symbolic-link') {
    if (!stats.isSymbolicLink()) return 'it is no link any more';
    return readLink(path) === entry.linkTarget ? null : 'its target was changed';
  }
  if (!stats.isFile()) return 'it is no file any more';
  if (stats.size !== entry.sizeBytes) return `it has ${stats.size} bytes instead of ${entry.sizeBytes}`;
  if (content !== null && hashOf(path) !== content) return 'its content was changed';
  return attributesProblem(stats, entry);
}

function attributesProblem(stats: Stats, { mode, uid, gid }: Expected['entry']): string | null {
  // A later hard link to it may have brought other attributes.
  if (stats.nlink > 1) return null;
  if ((stats.mode & 0o7777) !== mode) return `its mode is ${(stats.mode & 0o7777).toString(8)} instead of ${mode.toString(8)}`;
  return stats.uid === uid && stats.gid === gid ? null : `its owner is ${stats.uid}:${stats.gid} instead of ${uid}:${gid}`;
}

function hashOf(path: string): string {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(256 * 1024);
  const fd = openSync(hostPath(path), 'r');
  try {
    for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer)) hash.update(buffer.subarray(0, length));
  } finally {
    closeSync(fd);
  }
  return hash.digest('base64');
}
