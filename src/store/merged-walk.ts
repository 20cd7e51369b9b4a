/**
 * Finds the directory that an entry of a layer goes to, in the tree being written on top of the layers below: as if the merged file system were mounted
 * and its links followed inside it, with the directories on the way copied up.
 */
import { copyFileSync, constants as fs, lstatSync } from 'node:fs';
import type { Timestamp } from '../archive/tar-entry.ts';
import { printableName } from '../base/byte-name.ts';
import { EngineError, invalid } from '../base/errors.ts';
import { getAttributeOfPath, listAttributesOfPath, setAttribute, setAttributeOfPath } from '../linux/extended-attributes.ts';
import {
  changeModeAt,
  changeOwnerAt,
  closeDescriptor,
  makeNodeAt,
  makeSymbolicLinkAt,
  O_NOFOLLOW,
  O_RDONLY,
  openAt,
  pathAt,
  S_IFMT,
  setTimesAt,
} from '../linux/file-calls.ts';
import { componentsOf, type Found, hostPath, isWhiteout, type LayerStack, readLink } from './layer-stack.ts';
import type { OpenDirectory } from './open-directories.ts';
import { type OwnTree, setOwnerAndMode } from './own-tree.ts';

/** The layer cannot be unpacked by itself: it says something about what is below. Not an error to be shown. */
export class NeedsParents extends Error {
  override readonly name = 'NeedsParents';
}

export interface WalkEvents {
  isHidden(path: readonly string[]): boolean;
  madeDirectory(path: readonly string[], time: Timestamp): void;
  /** Where a whiteout was, a directory is now: it must stay opaque. */
  replacedByDirectory(parent: OpenDirectory, name: string): void;
}

type Next = { readonly kind: 'directory' } | { readonly kind: 'missing' } | { readonly kind: 'link'; readonly target: string };

interface Seen {
  readonly next: Next;
  /** This layer has a whiteout there. */
  readonly whiteout: boolean;
  /** A directory that only layers below have: to be copied up. */
  readonly lower: Found | null;
}

const MAXIMUM_LINKS = 40;

export class MergedWalk {
  readonly #tree: OwnTree;
  readonly #lowers: LayerStack | null;
  readonly #events: WalkEvents;

  constructor(tree: OwnTree, lowers: LayerStack | null, events: WalkEvents) {
    this.#tree = tree;
    this.#lowers = lowers;
    this.#events = events;
  }

  /** `time` is for directories that no layer has. */
  findOrMake(components: readonly string[], time: Timestamp): OpenDirectory {
    if (this.#lowers === null) return this.#alone(components);
    return this.#direct(components) ?? this.#make(this.#lowers, components, time);
  }

  /** Null, and nothing is made: neither this layer nor one below has it. */
  find(components: readonly string[], time: Timestamp): OpenDirectory | null {
    if (this.#lowers === null) return this.#alone(components);
    const direct = this.#direct(components);
    if (direct !== null) return direct;
    const lowers = this.#lowers;
    const exists = this.#follow(components, (path, name) => this.#look(lowers, path, name).next);
    return exists === null ? null : this.#make(lowers, components, time);
  }

  #alone(components: readonly string[]): OpenDirectory {
    const found = this.#direct(components);
    if (found === null) throw new NeedsParents();
    return found;
  }

  /** Null also when something stands in the way, a whiteout say: on top of the layers below, the walk knows what to do or says why not. */
  #direct(components: readonly string[]): OpenDirectory | null {
    try {
      return this.#tree.directory(components);
    } catch (error) {
      if (error instanceof EngineError && error.code === 'invalid') return null;
      throw error;
    }
  }

  #make(lowers: LayerStack, components: readonly string[], time: Timestamp): OpenDirectory {
    const path = this.#follow(components, (at, name) => {
      const seen = this.#look(lowers, at, name);
      return seen.next.kind === 'missing' || seen.lower !== null ? this.#enter(at, name, seen, time) : seen.next;
    });
    const directory = path === null ? null : this.#tree.directory(path);
    if (directory === null) throw this.#blocked(components, 'which could not be made');
    return directory;
  }

  /** One name after the other, as the kernel would in the merged file system. The result holds no links; null: something is missing. */
  #follow(components: readonly string[], step: (path: readonly string[], name: string) => Next): readonly string[] | null {
    const pending = [...components].reverse();
    let path: readonly string[] = [];
    for (let links = 0; pending.length > 0; ) {
      const name = pending.pop() ?? '';
      if (name === '..') {
        path = path.slice(0, -1);
        continue;
      }
      const next = step(path, name);
      if (next.kind === 'missing') return null;
      if (next.kind === 'directory') {
        path = [...path, name];
        continue;
      }
      if (++links > MAXIMUM_LINKS) throw this.#blocked(components, 'where symbolic links go in circles');
      if (next.target.startsWith('/')) path = [];
      pending.push(...componentsOf(next.target).reverse());
    }
    return path;
  }

  /** What `name` is in the merged file system: this layer's own comes first. */
  #look(lowers: LayerStack, path: readonly string[], name: string): Seen {
    const own = this.#tree.peek(path, name);
    if (own?.stats.isDirectory() === true) return { next: { kind: 'directory' }, whiteout: false, lower: null };
    if (own?.link !== undefined) return { next: { kind: 'link', target: own.link }, whiteout: false, lower: null };
    const whiteout = own !== null && isWhiteout(own.stats);
    const there = [...path, name];
    if (own !== null && !whiteout) throw this.#blocked(there, 'which is not a directory');
    const lower = whiteout || this.#events.isHidden(there) ? null : lowers.lookup(there);
    if (lower === null) return { next: { kind: 'missing' }, whiteout, lower };
    if (lower.stats.isSymbolicLink()) return { next: { kind: 'link', target: readLink(lower.path) }, whiteout, lower: null };
    if (!lower.stats.isDirectory()) throw this.#blocked(there, 'which is not a directory');
    return { next: { kind: 'directory' }, whiteout, lower };
  }

  /** Makes the directory in this layer: a copy of the lower one, or a new one. */
  #enter(path: readonly string[], name: string, seen: Seen, time: Timestamp): Next {
    this.#tree.within(path, (here) => {
      if (seen.whiteout) this.#tree.remove(here, name);
      this.#makeDirectory(here, name, seen.lower, time);
      if (seen.whiteout) this.#events.replacedByDirectory(here, name);
    });
    return { kind: 'directory' };
  }

  #makeDirectory(here: OpenDirectory, name: string, lower: Found | null, time: Timestamp): void {
    this.#tree.makeDirectory(here, name, (fd) => {
      setOwnerAndMode(fd, lower === null ? { mode: 0o755, uid: 0, gid: 0 } : permissionsOf(lower));
      if (lower !== null) copyAttributes(lower, (attribute, value) => setAttribute(fd, attribute, value));
    });
    this.#events.madeDirectory([...here.path, name], lower === null ? time : timeOf(lower));
  }

  #blocked(path: readonly string[], why: string): Error {
    return invalid(`the layer has an entry below ${printableName(path.join('/'))}, ${why}`);
  }
}

/** Makes a copy of a file of a layer below, with all that belongs to it; `into` has nothing of that name. */
export function copyUp(lower: Found, into: OpenDirectory, name: string): void {
  const { stats } = lower;
  if (stats.isFile()) copyFileSync(hostPath(lower.path), pathAt(into.fd, name), fs.COPYFILE_EXCL | fs.COPYFILE_FICLONE);
  else if (stats.isSymbolicLink()) makeSymbolicLinkAt(readLink(lower.path), into.fd, name);
  else makeNodeAt(into.fd, name, (stats.mode & S_IFMT) | 0o600, major(stats.rdev), minor(stats.rdev));
  if (stats.isFile()) {
    const fd = openAt(into.fd, name, O_RDONLY | O_NOFOLLOW);
    try {
      setOwnerAndMode(fd, permissionsOf(lower));
    } finally {
      closeDescriptor(fd);
    }
  } else {
    changeOwnerAt(into.fd, name, stats.uid, stats.gid);
    if (!stats.isSymbolicLink()) changeModeAt(into.fd, name, stats.mode & 0o7777);
  }
  copyAttributes(lower, (attribute, value) => setAttributeOfPath(pathAt(into.fd, name), attribute, value));
  setTimesAt(into.fd, name, timeOf(lower));
}

function permissionsOf(lower: Found): { mode: number; uid: number; gid: number } {
  return { mode: lower.stats.mode & 0o7777, uid: lower.stats.uid, gid: lower.stats.gid };
}

function copyAttributes(lower: Found, set: (name: string, value: Uint8Array) => void): void {
  const path = hostPath(lower.path);
  for (const name of listAttributesOfPath(path)) {
    const value = name.startsWith('trusted.overlay.') ? null : getAttributeOfPath(path, name);
    if (value !== null) set(name, value);
  }
}

function timeOf(lower: Found): Timestamp {
  // Only the exact form has all nanoseconds.
  const { mtimeNs } = lstatSync(hostPath(lower.path), { bigint: true });
  const nanoseconds = ((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((mtimeNs - nanoseconds) / 1_000_000_000n), nanoseconds: Number(nanoseconds) };
}

function major(device: number): number {
  return Number((BigInt(device) >> 8n) & 0xfffn) | Number((BigInt(device) >> 32n) & 0xfffff000n);
}

function minor(device: number): number {
  return Number(BigInt(device) & 0xffn) | Number((BigInt(device) >> 12n) & 0xffffff00n);
}
