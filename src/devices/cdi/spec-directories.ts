/**
 * Descriptions in directories. Each look lists the directories anew, as they are now, and reads what is new or has changed (by inode, size and times); nothing is
 * watched in between, see docs/decisions/0011. A later directory has the higher priority. What cannot be used is a problem of its own and hides nothing else.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText, hasErrnoCode, invalid } from '../../base/errors.ts';
import type { DeviceProblem } from '../devices.ts';
import type { CdiSpec } from './cdi-spec.ts';
import { parseBeside } from './parse-beside.ts';
import { maximumSpecBytes, tooLarge } from './parse-cdi-spec.ts';

export interface SpecFile {
  readonly file: string;
  /** Higher wins: the place of its directory in the list. */
  readonly priority: number;
  readonly spec: CdiSpec;
}

export interface SpecFiles {
  readonly files: readonly SpecFile[];
  readonly problems: readonly DeviceProblem[];
}

interface KnownFile {
  readonly state: string;
  readonly read: Promise<CdiSpec>;
}

/** A file that changed this short a while ago may change again without its times telling. */
const settlingMs = 2000;
const maximumFiles = 10_000;
/** At once. */
const maximumOpen = 16;

export class SpecDirectories {
  readonly directories: readonly string[];
  #known: ReadonlyMap<string, KnownFile> = new Map();

  constructor(directories: readonly string[]) {
    this.directories = directories;
  }

  async look(): Promise<SpecFiles> {
    const problems: DeviceProblem[] = [];
    const tell = (source: string, error: unknown): null => {
      problems.push({ source, text: problemText(source, error) });
      return null;
    };
    const listed: { readonly file: string; readonly priority: number }[] = [];
    for (const [priority, directory] of this.directories.entries()) {
      const names = await this.#names(directory, tell);
      listed.push(...names.map((name) => ({ file: join(directory, name), priority })));
    }
    const known = new Map<string, KnownFile>();
    const files: SpecFile[] = [];
    for (let at = 0; at < listed.length; at += maximumOpen) {
      const specs = await Promise.all(
        listed.slice(at, at + maximumOpen).map(({ file }) => this.#specOf(file, known).catch((error: unknown) => tell(file, error))),
      );
      for (const [index, spec] of specs.entries()) {
        const entry = listed[at + index];
        if (spec !== null && entry !== undefined) files.push({ ...entry, spec });
      }
    }
    this.#known = known;
    return { files, problems };
  }

  async #names(directory: string, tell: (source: string, error: unknown) => null): Promise<readonly string[]> {
    try {
      const names = (await readdir(directory)).sort();
      for (const name of names.filter((other) => other.endsWith('.yml')))
        tell(join(directory, name), invalid('it is not read: descriptions are *.json and *.yaml: rename it'));
      const specs = names.filter((name) => name.endsWith('.json') || name.endsWith('.yaml'));
      if (specs.length > maximumFiles) tell(directory, invalid(`it has ${specs.length} descriptions: the first ${maximumFiles} are read`));
      return specs.slice(0, maximumFiles);
    } catch (error) {
      if (!hasErrnoCode(error, 'ENOENT')) tell(directory, error);
      return [];
    }
  }

  /** Null: it is nothing that is read, or has gone meanwhile. */
  async #specOf(file: string, known: Map<string, KnownFile>): Promise<CdiSpec | null> {
    const stats = await stat(file, { bigint: true }).catch((error: unknown) => {
      if (hasErrnoCode(error, 'ENOENT')) return null;
      throw error;
    });
    if (stats === null) {
      if (await isLink(file)) throw invalid('it is a symbolic link to nothing');
      return null;
    }
    if (stats.isDirectory()) return null;
    if (!stats.isFile()) throw invalid('it is not a regular file');
    const { dev, ino, size, mtimeNs, ctimeNs } = stats;
    const state = [dev, ino, size, mtimeNs, ctimeNs].join();
    const before = this.#known.get(file);
    const current = before?.state === state ? before : { state, read: readSpec(file) };
    current.read.catch(() => {});
    const isSettled = Date.now() - Number(ctimeNs / 1_000_000n) > settlingMs;
    if (isSettled) known.set(file, current);
    return await current.read;
  }
}

async function isLink(file: string): Promise<boolean> {
  return await lstat(file).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  );
}

async function readSpec(file: string): Promise<CdiSpec> {
  // What was a file a moment ago may be a FIFO by now, which would wait for a writer.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    return await parseBeside(await readText(handle, file), file);
  } finally {
    await handle.close();
  }
}

async function readText(handle: FileHandle, file: string): Promise<string> {
  const stats = await handle.stat();
  if (!stats.isFile()) throw invalid('it is not a regular file');
  if (stats.size > maximumSpecBytes) throw invalid(tooLarge(file));
  // A file of /proc says 0, and one that grows more than it said.
  const bytes = Buffer.alloc(Math.min(maximumSpecBytes, stats.size) + 64 * 1024);
  let length = 0;
  for (let count = -1; count !== 0 && length < bytes.length; length += count)
    count = (await handle.read(bytes, length, bytes.length - length)).bytesRead;
  if (length === bytes.length) throw invalid(tooLarge(file));
  return bytes.toString('utf8', 0, length);
}

/** One sentence that starts with the file. */
function problemText(source: string, error: unknown): string {
  const text = errorText(error);
  return text.startsWith(source) ? text : `${source}: ${hasErrnoCode(error, 'EACCES') ? 'permission denied' : text}`;
}
