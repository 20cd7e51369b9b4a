/**
 * A folder of this machine as a build context: what its ignore file leaves out is neither looked at nor sent. Synchronous calls, folder by folder: nobody else
 * waits in this process, and 20,000 files are gone through in a fraction of the time that promises take.
 */
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import type { IgnorePatterns, IgnoreState } from '../../../archive/ignore-patterns.ts';
import { decodeName, encodeName, printableName } from '../../../base/byte-name.ts';
import type { ListedFile, ListedTime } from '../../../base/file-list.ts';
import type { LocalFiles } from '../../../client/build-types.ts';
import { CliError } from '../../cli-error.ts';
import { fileErrorText } from '../../file-error.ts';

const CHUNK_BYTES = 256 * 1024;
const BATCH_ENTRIES = 512;

export interface LocalFilesOptions {
  readonly directory: string;
  readonly ignore: IgnorePatterns;
  readonly sharedKey: string | null;
}

export function localFiles({ directory, ignore, sharedKey }: LocalFilesOptions): LocalFiles {
  return {
    sharedKey,
    async *entries() {
      yield* inBatches(new Walk(directory, ignore).entries());
    },
    async *read(entry) {
      yield* readWhole(directory, entry);
    },
  };
}

/** The folders that are looked into, the root first: what a watch has to follow. */
export function watchedFolders({ directory, ignore }: Pick<LocalFilesOptions, 'directory' | 'ignore'>): readonly string[] {
  const folders = [''];
  for (const { type, path } of new Walk(directory, ignore).entries()) if (type === 'directory') folders.push(path);
  return folders;
}

function* inBatches(entries: Iterable<ListedFile>): Generator<readonly ListedFile[]> {
  let batch: ListedFile[] = [];
  for (const entry of entries) {
    batch.push(entry);
    if (batch.length < BATCH_ENTRIES) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

class Walk {
  readonly #root: string;
  readonly #ignore: IgnorePatterns;
  /** By device and inode: the first name of a file with several. */
  readonly #linked = new Map<string, string>();

  constructor(root: string, ignore: IgnorePatterns) {
    this.#root = root;
    this.#ignore = ignore;
  }

  *entries(): Generator<ListedFile> {
    yield* this.#folder('', this.#ignore.rootState);
  }

  *#folder(folder: string, state: IgnoreState): Generator<ListedFile> {
    for (const name of namesIn(hostPath(this.#root, folder))) {
      const path = folder === '' ? name : `${folder}/${name}`;
      const look = this.#ignore.isEmpty ? { ignored: false, state } : this.#ignore.look(path, state);
      if (look.ignored && !this.#ignore.mayTakeBackBelow(path, look.state)) continue;
      const host = hostPath(this.#root, path);
      const stats = lstatSync(host, { bigint: true, throwIfNoEntry: false });
      // Gone in between.
      if (stats === undefined) continue;
      if (!stats.isDirectory()) {
        const entry = look.ignored ? null : this.#describe(path, host, stats);
        if (entry !== null) yield entry;
        continue;
      }
      if (!look.ignored) {
        yield { ...attributes(path, stats), type: 'directory', sizeBytes: 0 };
        yield* this.#folder(path, look.state);
      } else yield* this.#takenBack(path, stats, look.state);
    }
  }

  /** An ignored folder is there only as the parent of what is taken back in. */
  *#takenBack(path: string, stats: BigIntStats, state: IgnoreState): Generator<ListedFile> {
    let named = false;
    for (const entry of this.#folder(path, state)) {
      if (!named) yield { ...attributes(path, stats), type: 'directory', sizeBytes: 0 };
      named = true;
      yield entry;
    }
  }

  /** Null: nothing that a context can hold. */
  #describe(path: string, host: string | Buffer, stats: BigIntStats): ListedFile | null {
    const common = attributes(path, stats);
    if (stats.isSymbolicLink())
      return { ...common, type: 'symbolic-link', sizeBytes: 0, linkTarget: decodeName(readlinkSync(host, { encoding: 'buffer' })) };
    const first = stats.nlink > 1n ? this.#firstName(path, stats) : path;
    if (first !== path) return { ...common, type: 'hard-link', sizeBytes: 0, linkTarget: first };
    if (stats.isFile()) return { ...common, type: 'file', sizeBytes: Number(stats.size) };
    if (stats.isFIFO()) return { ...common, type: 'fifo', sizeBytes: 0 };
    if (stats.isCharacterDevice()) return { ...common, ...deviceNumbers(stats.rdev), type: 'character-device', sizeBytes: 0 };
    if (stats.isBlockDevice()) return { ...common, ...deviceNumbers(stats.rdev), type: 'block-device', sizeBytes: 0 };
    return null;
  }

  #firstName(path: string, stats: BigIntStats): string {
    const identity = `${stats.dev}:${stats.ino}`;
    const first = this.#linked.get(identity);
    if (first === undefined) this.#linked.set(identity, path);
    return first ?? path;
  }
}

const NO_ATTRIBUTES: ReadonlyMap<string, Uint8Array> = new Map();

/** Without extended attributes, which Node cannot read. */
function attributes(path: string, stats: BigIntStats): Omit<ListedFile, 'type' | 'sizeBytes'> {
  return {
    path,
    mode: Number(stats.mode) & 0o7777,
    modifiedAt: timeOf(stats.mtimeNs),
    changedAt: timeOf(stats.ctimeNs),
    linkTarget: '',
    deviceMajor: 0,
    deviceMinor: 0,
    extendedAttributes: NO_ATTRIBUTES,
  };
}

function timeOf(time: bigint): ListedTime {
  const nanoseconds = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((time - nanoseconds) / 1_000_000_000n), nanoseconds: Number(nanoseconds) };
}

/** As the C library's major() and minor(). */
function deviceNumbers(device: bigint): Pick<ListedFile, 'deviceMajor' | 'deviceMinor'> {
  return {
    deviceMajor: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    deviceMinor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}

const REPLACEMENT = '\uFFFD';

/** By their bytes. Text at first: names that are not UTF-8 are rare, and reading all as bytes costs half as much again. */
function namesIn(path: string | Buffer): readonly string[] {
  try {
    const names = readdirSync(path);
    const sure = names.some((name) => name.includes(REPLACEMENT))
      ? readdirSync(path, { encoding: 'buffer' }).map((name) => decodeName(name))
      : names;
    return sure.some((name) => !isAscii(name)) ? sure.sort((a, b) => encodeName(a).compare(encodeName(b))) : sure.sort();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function isAscii(name: string): boolean {
  for (let at = 0; at < name.length; at += 1) if (name.charCodeAt(at) > 127) return false;
  return true;
}

function hostPath(root: string, path: string): string | Buffer {
  const whole = path === '' ? root : `${root}/${path}`;
  return whole.isWellFormed() ? whole : encodeName(whole);
}

/** As many bytes as were announced: a file that became shorter while it was read ends the build, as what was built would not be what is there. */
function* readWhole(root: string, { path, sizeBytes }: ListedFile): Generator<Uint8Array> {
  const host = hostPath(root, path);
  let file: number;
  try {
    file = openSync(host, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(host, error);
  }
  try {
    for (let at = 0; at < sizeBytes; ) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, sizeBytes - at));
      const count = readSync(file, buffer, 0, buffer.length, at);
      if (count === 0) throw new CliError(`${printableName(path)} in the build context became shorter while it was sent: build again`);
      at += count;
      yield buffer.subarray(0, count);
    }
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string | Buffer, error: unknown): CliError {
  const name = typeof path === 'string' ? path : printableName(decodeName(path));
  const hint = ' What the build does not need can be left out by .dockerignore';
  return new CliError(`cannot read the build context at ${name}: ${fileErrorText(error)}.${hint}`, 1, { cause: error });
}
