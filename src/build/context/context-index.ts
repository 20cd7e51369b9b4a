/**
 * The index of a context: what its directory holds, with the sha256 of every regular file's bytes, computed while they were written. Read by whatever digests what a COPY selects, so
 * that no byte of a context is read twice.
 *
 *     <context>/files/…   what came, owner 0:0
 *     <context>/index     `gantry-context 1\n`, then a file list (base/file-list.ts), sorted by path
 *
 * Hard links are entries of type `file` with their target's digest. The root is not listed. Only attributes that are kept are listed (`security.capability`, `user.*`).
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { EngineError, invalid } from '../../base/errors.ts';
import { encodeFileList, FileListDecoder, type ListedFile } from '../../base/file-list.ts';

export type IndexEntry = ListedFile;
/** By path: `src/app.ts`. */
export type ContextIndex = ReadonlyMap<string, IndexEntry>;

const MAGIC = Buffer.from('gantry-context 1\n');
const ENTRIES_AT_ONCE = 1000;

/** Throws when there is none, or it is not whole. */
export function readContextIndex(path: string): ContextIndex {
  return parseContextIndex(readFileSync(path), path);
}

export function parseContextIndex(bytes: Buffer, path: string): ContextIndex {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new EngineError('system', `${path} is not the index of a build context`);
  const decoder = new FileListDecoder(`the index of a build context (${path})`);
  const entries = decoder.push(bytes.subarray(MAGIC.length));
  decoder.end();
  return new Map(entries.map((entry) => [entry.path, entry]));
}

/** Temporary file, then rename: there when it is whole. Not synced: contexts don't outlive the machine's boot. */
export function writeContextIndex(path: string, entries: readonly IndexEntry[]): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeSync(file, MAGIC);
    for (let at = 0; at < entries.length; at += ENTRIES_AT_ONCE) {
      const bytes = encodeFileList(entries.slice(at, at + ENTRIES_AT_ONCE));
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    }
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** Of everything in it by content: times don't count. `entries` are sorted by path. */
export function digestOfContext(entries: readonly IndexEntry[]): string {
  const hash = createHash('sha256');
  for (const entry of entries) hash.update(contentOf(entry));
  return `sha256:${hash.digest('hex')}`;
}

function contentOf({ path, type, mode, sizeBytes, linkTarget, deviceMajor, deviceMinor, extendedAttributes, digest }: IndexEntry): string {
  if (type === 'file' && digest === undefined) throw invalid(`the index of a build context has no digest of ${JSON.stringify(path)}`);
  const attributes = [...extendedAttributes].sort(([a], [b]) => (a < b ? -1 : 1));
  const values = attributes.map(([name, value]) => [name, Buffer.from(value).toString('base64')]);
  return `${JSON.stringify([path, type, mode, type === 'file' ? sizeBytes : 0, linkTarget, deviceMajor, deviceMinor, values, digest ?? ''])}\n`;
}

export function sortedByPath(entries: Iterable<IndexEntry>): readonly IndexEntry[] {
  return [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
