/** The Dockerfile and its ignore file, out of the client's folders: two small transfers before that of the context, because the ignore file says what the context is. */
import { posix } from 'node:path';
import { invalid } from '../../../base/errors.ts';
import type { FileSync, GivenDockerfile, SyncEntry } from '../../../build/build-client.ts';
import { openFolder } from './file-sync.ts';
import type { Session } from './session.ts';

/** Where a Dockerfile is: the client's name of the folder, and the path in it. */
export interface DockerfilePlace {
  readonly folder: string;
  readonly path: string;
}

const sizeLimitBytes = 16 * 1024 * 1024;
const linkLimit = 40;

/** `contextFolder`: where `.dockerignore` is when the Dockerfile has no ignore file of its own; null: the context is no folder of the client. */
export async function readDockerfile(
  session: Session,
  place: DockerfilePlace,
  contextFolder: string | null,
  signal: AbortSignal,
): Promise<GivenDockerfile> {
  const ownIgnore = `${place.path}.dockerignore`;
  const names = posix.basename(place.path) === 'Dockerfile' ? [place.path, lowerCase(place.path)] : [place.path];
  const found = await readFiles(session, place.folder, [...names, ownIgnore], signal);
  const path = names.find((name) => found.has(name));
  if (path === undefined) throw invalid(`failed to read dockerfile: open ${place.path}: no such file or directory`);
  const text = found.get(path) ?? new Uint8Array();
  const own = found.get(ownIgnore);
  if (own !== undefined) return { name: path, text, ignoreFile: decode(own) };
  return { name: path, text, ignoreFile: contextFolder === null ? null : await readIgnoreFile(session, contextFolder, signal) };
}

/** `.dockerignore` at the root of a folder; null: it has none. */
export async function readIgnoreFile(session: Session, folder: string, signal: AbortSignal): Promise<string | null> {
  const found = await readFiles(session, folder, ['.dockerignore'], signal);
  const bytes = found.get('.dockerignore');
  return bytes === undefined ? null : decode(bytes);
}

/**
 * The patterns of an ignore file as the client applies them: without comments and blank lines, clean, without leading slashes. What can't be read as a pattern is the client's to tell.
 */
export function patternsOf(ignoreFile: string): readonly string[] {
  const lines = ignoreFile.replace(/^\uFEFF/, '').split(/\r?\n/);
  return lines.flatMap((line) => {
    const pattern = line.trim();
    if (line.startsWith('#') || pattern === '' || pattern === '!') return [];
    const negated = pattern.startsWith('!');
    const clean = posix.normalize((negated ? pattern.slice(1) : pattern).trim());
    const relative = (clean.length > 1 && clean.startsWith('/') ? clean.slice(1) : clean).replace(/(.)\/$/, '$1');
    return [negated ? `!${relative}` : relative];
  });
}

function lowerCase(path: string): string {
  return posix.join(posix.dirname(path), 'dockerfile');
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

async function readFiles(
  session: Session,
  folder: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const sync = openFolder(session, { name: folder, followPaths: paths, sharedKey: null }, signal);
  const entries: SyncEntry[] = [];
  for await (const batch of sync.entries()) entries.push(...batch);
  const indexes = new Map(entries.map((entry, index) => [entry.path, index]));
  const found = new Map<string, Uint8Array>();
  for (const path of paths) {
    const index = follow(path, entries, indexes);
    if (index !== null) found.set(path, await readWhole(sync, index, path));
  }
  await sync.finish();
  return found;
}

/** Links on the way are the client's: it sent what they lead to. Null: there is no such file. */
function follow(path: string, entries: readonly SyncEntry[], indexes: ReadonlyMap<string, number>): number | null {
  let current = posix.normalize(path);
  for (let links = 0; links < linkLimit; links += 1) {
    const step = firstLink(current, entries, indexes);
    if (step === null) {
      const index = indexes.get(current);
      const type = index === undefined ? undefined : entries[index]?.type;
      return index !== undefined && type === 'file' ? index : null;
    }
    current = step;
  }
  return null;
}

/** `path` with its first component that is a link replaced by where it leads; null: none is. */
function firstLink(path: string, entries: readonly SyncEntry[], indexes: ReadonlyMap<string, number>): string | null {
  const parts = path.split('/');
  for (let count = 1; count <= parts.length; count += 1) {
    const entry = entries[indexes.get(parts.slice(0, count).join('/')) ?? -1];
    if (entry?.type === 'hard-link') return posix.join(entry.linkTarget, ...parts.slice(count));
    if (entry?.type !== 'symbolic-link') continue;
    const folder = entry.linkTarget.startsWith('/') ? '/' : `/${parts.slice(0, count - 1).join('/')}`;
    return posix.join('/', folder, entry.linkTarget, ...parts.slice(count)).slice(1);
  }
  return null;
}

async function readWhole(sync: FileSync, index: number, path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of sync.read(index)) {
    size += chunk.length;
    if (size > sizeLimitBytes) throw invalid(`${JSON.stringify(path)} is larger than ${sizeLimitBytes} bytes, the limit`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
