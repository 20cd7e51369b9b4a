/**
 * Looks into a stack of layer directories as overlay would show them, without mounting: whiteouts hide, opaque directories end the merge, symbolic links
 * resolve across layers as inside a chroot. For directories that nobody changes meanwhile (unpacked layers; the upper directory of a stopped container):
 * every step looks at what is there before it goes on, and follows nothing by itself.
 */
import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { decodeName, encodeName, printableName } from '../base/byte-name.ts';
import { hasErrnoCode, invalid } from '../base/errors.ts';
import { getAttributeOfPath } from '../linux/extended-attributes.ts';
import { AT_FDCWD, closeDescriptor, O_NOFOLLOW, O_PATH, openAt } from '../linux/file-calls.ts';
import { readPinned } from '../linux/path-in-root.ts';

export interface Found {
  /** Where the topmost layer that has it keeps it, on the host. */
  readonly path: string;
  readonly stats: Stats;
  /** The same file as seen from the root of the stack, links resolved. */
  readonly resolved: readonly string[];
  /** Of directories: every layer's part, topmost first. Empty for others. */
  readonly merged: readonly string[];
}

/** As the kernel's. */
const MAXIMUM_LINKS = 40;

export class LayerStack {
  readonly #directories: readonly string[];

  /** Host paths, topmost first. */
  constructor(directories: readonly string[]) {
    this.#directories = directories;
  }

  /** Follows no link at all: null when a part of the way is not a directory. */
  lookup(components: readonly string[]): Found | null {
    let found = this.#root();
    for (const name of components) {
      const next = found === null ? null : step(found, name);
      if (next === null) return null;
      found = next;
    }
    return found;
  }

  /** Follows every link, the last one too; `..` stops at the root. */
  resolve(path: string): Found | null {
    const pending = componentsOf(path).reverse();
    const trail = [this.#root()];
    for (let links = 0; pending.length > 0; ) {
      const current = trail.at(-1) ?? null;
      const name = pending.pop() ?? '';
      if (name === '..') {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const next = current === null ? null : step(current, name);
      if (next === null) return null;
      if (!next.stats.isSymbolicLink()) {
        trail.push(next);
        continue;
      }
      if (++links > MAXIMUM_LINKS) return null;
      const target = readLink(next.path);
      if (isAbsolute(target)) trail.length = 1;
      pending.push(...componentsOf(target).reverse());
    }
    return trail.at(-1) ?? null;
  }

  #root(): Found | null {
    const top = this.#directories[0];
    return top === undefined ? null : { path: top, stats: lstatSync(`${top}/.`), resolved: [], merged: this.#directories };
  }
}

/** Of `LayerStore.mountOrder`; an upper directory goes in front as an absolute path. */
export function layerStackOf(base: string, lowers: readonly string[]): LayerStack {
  return new LayerStack(lowers.map((lower) => (isAbsolute(lower) ? lower : join(base, lower))));
}

/**
 * A regular file of a container that does not run, from the layers of its root (`LayerStore.mountOrder`; an upper directory goes in front as an absolute
 * path). Null when there is none; `invalid` when it is not a regular file or larger than `maximumBytes`.
 */
export function readFileInLayers(base: string, lowers: readonly string[], path: string, maximumBytes: number): Buffer | null {
  return readFileInStack(layerStackOf(base, lowers), path, maximumBytes);
}

/** The same of a stack that is there already. */
export function readFileInStack(stack: LayerStack, path: string, maximumBytes: number): Buffer | null {
  if (path.includes('\0')) throw invalid(`the path ${printableName(path)} holds a NUL byte`);
  const found = stack.resolve(path);
  if (found === null) return null;
  const pinned = openAt(AT_FDCWD, found.path, O_PATH | O_NOFOLLOW);
  try {
    return readPinned(pinned, path, maximumBytes);
  } finally {
    closeDescriptor(pinned);
  }
}

export function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

/** Paths of Node's `fs` as strings can't name what is not UTF-8. */
export function hostPath(path: string): string | Buffer {
  return path.isWellFormed() ? path : encodeName(path);
}

export function readLink(path: string): string {
  return decodeName(readlinkSync(hostPath(path), { encoding: 'buffer' }));
}

export function componentsOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/** What a directory of the stack holds, in an order that depends on nothing but the names; whiteouts and what they hide left out. */
export function childrenOf(directory: Found): readonly { readonly name: string; readonly found: Found }[] {
  const names = new Set<string>();
  for (const part of directory.merged) {
    for (const name of readdirSync(hostPath(part), { encoding: 'buffer' })) names.add(decodeName(name));
  }
  return [...names].sort().flatMap((name) => {
    const found = step(directory, name);
    return found === null ? [] : [{ name, found }];
  });
}

/** One name down, no link followed; null: nothing is there. */
export function childOf(directory: Found, name: string): Found | null {
  return step(directory, name);
}

/** One name down: from the topmost layer that has it, merged with directories below as far as nothing in between is opaque or no directory. */
function step(from: Found, name: string): Found | null {
  let top: { readonly path: string; readonly stats: Stats } | null = null;
  const merged: string[] = [];
  for (const directory of from.merged) {
    const path = `${directory}/${name}`;
    const stats = statsOf(path);
    if (stats === undefined) continue;
    if (isWhiteout(stats)) break;
    top ??= { path, stats };
    if (!stats.isDirectory()) break;
    merged.push(path);
    if (isOpaque(path)) break;
  }
  if (top === null) return null;
  return { ...top, resolved: [...from.resolved, name], merged: top.stats.isDirectory() ? merged : [] };
}

/** A name that is too long is a name that is not there. */
function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(hostPath(path), { throwIfNoEntry: false });
  } catch (error) {
    if (hasErrnoCode(error, 'ENAMETOOLONG')) return undefined;
    throw error;
  }
}

function isOpaque(path: string): boolean {
  return getAttributeOfPath(hostPath(path), 'trusted.overlay.opaque')?.toString() === 'y';
}
