/** What the two arguments of `cp` mean, by Docker's rules: which is a container's, where the copy lands, and what its top is called there. Pure. */
import { posix } from 'node:path';
import { CliError } from '../cli-error.ts';

export interface CopyPlace {
  /** Null: on this machine. */
  readonly container: string | null;
  readonly path: string;
}

/** `CONTAINER:PATH`; what starts with `/` or `.` is a path even when it holds a colon. An empty container is nobody's. */
export function parseCopyPlace(text: string): CopyPlace {
  const colon = text.indexOf(':');
  if (colon === -1 || text.startsWith('/') || text.startsWith('.')) return { container: null, path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

export interface CopySource {
  readonly path: string;
  readonly isDirectory: boolean;
  /** What its top is called in the archive. */
  readonly name: string;
}

export interface CopyDestination {
  readonly path: string;
  readonly kind: 'missing' | 'directory' | 'other';
}

export interface CopyPlan {
  /** Exists, and gets what the archive holds. */
  readonly directory: string;
  /** The top of the archive is called so there; null: as it is. */
  readonly rename: string | null;
}

export function planCopy(source: CopySource, destination: CopyDestination): CopyPlan {
  const { path, kind } = destination;
  if (kind === 'directory') return { directory: path, rename: null };
  if (source.isDirectory && kind === 'other') throw new CliError('cannot copy directory');
  if (!source.isDirectory && kind === 'missing' && asksForDirectory(path)) throw new CliError('no such directory');
  const clean = posix.normalize(path).replace(/(.)\/+$/, '$1');
  return { directory: posix.dirname(clean), rename: posix.basename(clean) };
}

/** `a/`, `a/.`: whatever it is, it must be a directory. */
export function asksForDirectory(path: string): boolean {
  return path.endsWith('/') || path === '.' || path.endsWith('/.');
}

/** As in an archive of it: `.` behind `/.`, else the last part. */
export function nameInArchive(path: string): string {
  if (path === '.' || path.endsWith('/.')) return '.';
  const clean = posix.normalize(path).replace(/(.)\/+$/, '$1');
  return clean === '/' ? '/' : posix.basename(clean);
}

/** The path of an entry when the top of its archive is called otherwise. */
export function renamed(path: string, from: string, to: string): string {
  if (from === '/') return path === '/' ? to : `${to}${path.startsWith('/') ? '' : '/'}${path}`;
  if (path === from) return to;
  return path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : path;
}
