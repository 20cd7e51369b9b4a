/**
 * What a step wrote becomes a layer: its upper directory is walked once, in the order of its names; what changed nothing is removed from it, what is left goes to the layer's tar, and the
 * directory looks like that tar unpacked when the walk is over. For worker threads; nobody else has the directory any more.
 *
 *   char device 0/0                     .wh.NAME, where something below is hidden; else it goes
 *   trusted.overlay.opaque on DIR       DIR/.wh..wh..opq, where something below is hidden; else the attribute goes
 *   directory like the one below        goes with nothing in it, else it is there as a parent
 *   anything like the one below         goes: owner, mode, attributes, time and content are equal
 *   socket                              goes: no archive can hold one
 *   `/`                                 `./` where it looks different from what is below
 *
 * Headers of directories wait until something in them is written.
 */
import { type BigIntStats, closeSync, fchmodSync, fchownSync, fstatSync, lstatSync, openSync, readSync } from 'node:fs';
import type { NewTarEntry } from '../../archive/tar-writer.ts';
import { DirectoryChain } from '../../linux/directory-chain.ts';
import { removeAttribute } from '../../linux/extended-attributes.ts';
import {
  AT_FDCWD,
  closeDescriptor,
  type FileTime,
  majorOf,
  makeNodeAt,
  minorOf,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  pathAt,
  removeDirectoryAt,
  S_IFCHR,
  setTimes,
  unlinkAt,
} from '../../linux/file-calls.ts';
import { readNames } from '../../linux/read-names.ts';
import { ordinaryRoot, type RootAttributes } from '../../store/layer-record.ts';
import { childOf, childrenOf, type Found, hostPath, LayerStack, readLink } from '../../store/layer-stack.ts';
import { compareNames } from './byte-order.ts';
import {
  areSameAttributes,
  type ExtendedAttributes,
  keptAttributesOfPath,
  OPAQUE_ATTRIBUTE,
  reduceAttributes,
  reduceAttributesOfPath,
} from './kept-attributes.ts';
import type { LayerTar } from './layer-tar.ts';
import { clampedTime, settleTimes, settleTimesAt } from './layer-times.ts';

export interface SealJob {
  readonly upper: string;
  /** Host paths of the layers below, topmost first. */
  readonly lowers: readonly string[];
  /** Of `/` below; null: 0755, root. */
  readonly root: RootAttributes | null;
  readonly epoch: number;
}

export function sealUpper(job: SealJob, tar: LayerTar, checkpoint: () => void): void {
  const root = openAt(AT_FDCWD, job.upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    new UpperSealer(root, job, tar, checkpoint).seal();
  } finally {
    closeDescriptor(root);
  }
}

interface Seen {
  readonly name: string;
  readonly stats: BigIntStats;
}

interface Level {
  readonly name: string;
  /** Empty, or with a `/` at its end. */
  readonly path: string;
  /** The directory below it, as far as it shows through. */
  readonly lower: Found | null;
  readonly time: FileTime;
  /** Its header, while nothing needs it. */
  waiting: NewTarEntry | null;
  /** Last first. */
  readonly rest: Seen[];
}

const COMPARE_BYTES = 256 * 1024;

class UpperSealer {
  readonly #root: number;
  readonly #job: SealJob;
  readonly #tar: LayerTar;
  readonly #checkpoint: () => void;
  readonly #chain: DirectoryChain;
  readonly #levels: Level[] = [];
  /** Device and inode of files with several names → the first of them. */
  readonly #linked = new Map<string, string>();

  constructor(root: number, job: SealJob, tar: LayerTar, checkpoint: () => void) {
    this.#root = root;
    this.#job = job;
    this.#tar = tar;
    this.#checkpoint = checkpoint;
    this.#chain = new DirectoryChain(root);
  }

  seal(): void {
    const rootTime = this.#sealRoot();
    const lower = new LayerStack(this.#job.lowers).lookup([]);
    this.#levels.push({ name: '', path: '', lower, time: rootTime, waiting: null, rest: this.#list() });
    try {
      for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
        const next = level.rest.pop();
        this.#checkpoint();
        if (next === undefined) this.#leave(level);
        else if (next.stats.isDirectory()) this.#enter(level, next);
        else this.#entry(level, next);
      }
      setTimes(this.#root, rootTime);
    } finally {
      this.#chain.close();
    }
  }

  /** The time that it has in the end. */
  #sealRoot(): FileTime {
    const stats = fstatSync(this.#root, { bigint: true });
    const { kept, opaque } = reduceAttributes(this.#root);
    // overlay does not look at it there.
    if (opaque) removeAttribute(this.#root, OPAQUE_ATTRIBUTE);
    if (!isRootAs(stats, kept, this.#job.root)) {
      const attributes = attributesOf(stats, kept, this.#job.epoch);
      this.#tar.root(attributes);
      return attributes.modifiedAt;
    }
    fchownSync(this.#root, 0, 0);
    fchmodSync(this.#root, 0o755);
    for (const name of kept.keys()) removeAttribute(this.#root, name);
    return { seconds: 0, nanoseconds: 0 };
  }

  /** What the directory that we are in holds, last first. */
  #list(): Seen[] {
    const fd = this.#chain.fd;
    const seen = readNames(fd).map((name): Seen => ({ name, stats: lstatSync(pathAt(fd, name), { bigint: true }) }));
    seen.sort((one, other) => compareNames(one.name, other.name));
    const whiteouts = seen.filter(({ stats }) => isWhiteout(stats));
    return (whiteouts.length === 0 ? seen : [...whiteouts, ...seen.filter(({ stats }) => !isWhiteout(stats))]).reverse();
  }

  #enter(parent: Level, { name, stats }: Seen): void {
    this.#chain.enter(name);
    const fd = this.#chain.fd;
    const path = `${parent.path}${name}`;
    const { kept, opaque } = reduceAttributes(fd);
    const below = belowOf(parent, name);
    const lower = below?.stats.isDirectory() === true ? below : null;
    const hides = opaque && lower !== null && childrenOf(lower).length > 0;
    if (opaque && !hides) removeAttribute(fd, OPAQUE_ATTRIBUTE);
    const attributes = attributesOf(stats, kept, this.#job.epoch);
    const level: Level = {
      name,
      path: `${path}/`,
      lower: hides ? null : lower,
      time: attributes.modifiedAt,
      waiting: { type: 'directory', path, ...attributes },
      rest: this.#list(),
    };
    this.#levels.push(level);
    if (lower === null || hides || !isLike(stats, kept, lower)) this.#writeWaiting();
    if (hides) this.#tar.opaque(level.path);
  }

  #leave(level: Level): void {
    this.#levels.pop();
    if (this.#levels.length === 0) return;
    // What was taken out of it changed its time.
    setTimes(this.#chain.fd, level.time);
    this.#chain.leave();
    if (level.waiting !== null) removeDirectoryAt(this.#chain.fd, level.name);
  }

  #entry(level: Level, seen: Seen): void {
    const { name, stats } = seen;
    if (isWhiteout(stats)) this.#whiteout(level, name, false);
    else if (stats.isSocket()) this.#whiteout(level, name, true);
    else if (stats.isFile()) this.#file(level, seen);
    else this.#special(level, seen);
  }

  /** `replaces`: something that no layer can hold, and that may hide something. */
  #whiteout(level: Level, name: string, replaces: boolean): void {
    const hides = belowOf(level, name) !== null;
    if (replaces || !hides) unlinkAt(this.#chain.fd, name);
    if (!hides) return;
    if (replaces) makeNodeAt(this.#chain.fd, name, S_IFCHR, 0, 0);
    this.#writeWaiting();
    this.#tar.whiteout(level.path, name);
  }

  #file(level: Level, { name, stats }: Seen): void {
    const path = `${level.path}${name}`;
    if (this.#isLinked(path, stats)) return;
    const file = openAt(this.#chain.fd, name, O_RDONLY | O_NOFOLLOW);
    try {
      const { kept } = reduceAttributes(file);
      if (stats.nlink === 1n && this.#changesNothing(level, name, stats, kept, file)) {
        unlinkAt(this.#chain.fd, name);
        return;
      }
      const attributes = attributesOf(stats, kept, this.#job.epoch);
      this.#writeWaiting();
      this.#tar.file({ type: 'file', path, ...attributes }, file, Number(stats.size));
      settleTimes(file, attributes.modifiedAt);
    } finally {
      closeDescriptor(file);
    }
  }

  #special(level: Level, { name, stats }: Seen): void {
    const path = `${level.path}${name}`;
    if (this.#isLinked(path, stats)) return;
    const fd = this.#chain.fd;
    const kept = reduceAttributesOfPath(pathAt(fd, name));
    if (stats.nlink === 1n && this.#changesNothing(level, name, stats, kept, null)) {
      unlinkAt(fd, name);
      return;
    }
    const attributes = attributesOf(stats, kept, this.#job.epoch);
    this.#writeWaiting();
    this.#tar.entry({ path, ...specialOf(fd, name, stats), ...attributes });
    settleTimesAt(fd, name, attributes.modifiedAt);
  }

  /** Another name of a file that is written already. */
  #isLinked(path: string, stats: BigIntStats): boolean {
    if (stats.nlink === 1n) return false;
    const identity = `${stats.dev}:${stats.ino}`;
    const first = this.#linked.get(identity);
    if (first === undefined) {
      this.#linked.set(identity, path);
      return false;
    }
    this.#writeWaiting();
    const { modifiedAt, mode, uid, gid } = attributesOf(stats, new Map(), this.#job.epoch);
    this.#tar.entry({ type: 'hard-link', path, linkTarget: first, modifiedAt, mode, uid, gid });
    return true;
  }

  /** `file`: of a regular file. */
  #changesNothing(level: Level, name: string, stats: BigIntStats, kept: ExtendedAttributes, file: number | null): boolean {
    const below = belowOf(level, name);
    if (below === null || typeOf(stats) !== typeOf(below.stats) || !isLike(stats, kept, below)) return false;
    const lower = lstatSync(hostPath(below.path), { bigint: true });
    const { epoch } = this.#job;
    if (clampedTime(stats.mtimeNs, epoch).seconds !== clampedTime(lower.mtimeNs, epoch).seconds) return false;
    if (stats.rdev !== lower.rdev) return false;
    if (stats.isSymbolicLink()) return readLink(`/proc/self/fd/${this.#chain.fd}/${name}`) === readLink(below.path);
    return file === null || (stats.size === lower.size && this.#haveSameBytes(file, below.path));
  }

  #haveSameBytes(file: number, lowerPath: string): boolean {
    const lower = openSync(hostPath(lowerPath), 'r');
    const [left, right] = [Buffer.allocUnsafe(COMPARE_BYTES), Buffer.allocUnsafe(COMPARE_BYTES)];
    try {
      for (let at = 0; ; ) {
        this.#checkpoint();
        const length = readSync(file, left, 0, COMPARE_BYTES, at);
        if (readSync(lower, right, 0, COMPARE_BYTES, at) !== length) return false;
        if (length === 0) return true;
        if (left.compare(right, 0, length, 0, length) !== 0) return false;
        at += length;
      }
    } finally {
      closeSync(lower);
    }
  }

  #writeWaiting(): void {
    for (const level of this.#levels) {
      if (level.waiting === null) continue;
      this.#tar.entry(level.waiting);
      level.waiting = null;
    }
  }
}

function belowOf({ lower }: Level, name: string): Found | null {
  return lower === null ? null : childOf(lower, name);
}

function isWhiteout(stats: BigIntStats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0n;
}

function attributesOf(stats: BigIntStats, extendedAttributes: ExtendedAttributes, epoch: number) {
  return {
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    modifiedAt: clampedTime(stats.mtimeNs, epoch),
    extendedAttributes,
  };
}

/** Mode, owner and attributes. */
function isLike(stats: BigIntStats, kept: ExtendedAttributes, { path, stats: lower }: Found): boolean {
  if ((Number(stats.mode) & 0o7777) !== (lower.mode & 0o7777)) return false;
  if (Number(stats.uid) !== lower.uid || Number(stats.gid) !== lower.gid) return false;
  return areSameAttributes(kept, keptAttributesOfPath(hostPath(path)));
}

function isRootAs(stats: BigIntStats, kept: ExtendedAttributes, expected: RootAttributes | null): boolean {
  const { mode, uid, gid, extendedAttributes } = expected ?? ordinaryRoot;
  if ((Number(stats.mode) & 0o7777) !== (mode & 0o7777) || Number(stats.uid) !== uid || Number(stats.gid) !== gid) return false;
  return areSameAttributes(kept, new Map(Object.entries(extendedAttributes).map(([name, value]) => [name, Buffer.from(value, 'base64')])));
}

function specialOf(directory: number, name: string, stats: BigIntStats): Pick<NewTarEntry, 'type'> & Partial<NewTarEntry> {
  if (stats.isSymbolicLink()) return { type: 'symbolic-link', linkTarget: readLink(`/proc/self/fd/${directory}/${name}`) };
  if (stats.isFIFO()) return { type: 'fifo' };
  const type = stats.isCharacterDevice() ? 'character-device' : 'block-device';
  return { type, deviceMajor: majorOf(stats.rdev), deviceMinor: minorOf(stats.rdev) };
}

function typeOf(stats: {
  isFile(): boolean;
  isSymbolicLink(): boolean;
  isFIFO(): boolean;
  isCharacterDevice(): boolean;
  isBlockDevice(): boolean;
}): string {
  if (stats.isFile()) return 'file';
  if (stats.isSymbolicLink()) return 'link';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isCharacterDevice()) return 'character-device';
  return stats.isBlockDevice() ? 'block-device' : 'other';
}
