/**
 * The upper directory of a layer before it is written: what goes on top of a tree, in memory. Conflicts are found here, so that nothing is on the disk when they are.
 *
 * A directory of the layers below is in it as soon as somebody looks at it; it is written only when something in it changed.
 */
import { printableName } from '../../base/byte-name.ts';
import { invalid } from '../../base/errors.ts';
import { childOf, childrenOf, componentsOf, type Found, type LayerStack, readLink } from '../../store/layer-stack.ts';
import type { ExtendedAttributes } from './kept-attributes.ts';

export interface FileAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export type PlannedNode = PlannedDirectory | PlannedFile | PlannedSpecial | PlannedWhiteout;

export interface PlannedDirectory {
  readonly kind: 'directory';
  readonly children: Map<string, PlannedNode>;
  /** What shows through of the layers below; null: nothing. */
  readonly lower: Found | null;
  /** There is something below it, which must not show. */
  readonly hides: boolean;
  /** Null: those of the lower one, which stays as it is. */
  attributes: DirectoryAttributes | null;
}

export interface DirectoryAttributes extends FileAttributes {
  readonly extendedAttributes: ExtendedAttributes;
  /** Seconds. */
  readonly modifiedAt: number;
}

/** Nodes of one content are hard links of each other. */
export interface PlannedFile {
  readonly kind: 'file';
  readonly content: FileContent;
}

export interface FileContent extends FileAttributes {
  readonly modifiedAt: number;
  readonly sizeBytes: number;
  readonly from:
    | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
    /** `isOurs`: the file itself may be moved into the layer. */
    | { readonly kind: 'path'; readonly path: string; readonly isOurs: boolean };
}

export interface PlannedSpecial extends FileAttributes {
  readonly kind: 'symbolic-link' | 'fifo' | 'character-device' | 'block-device';
  readonly modifiedAt: number;
  readonly linkTarget: string;
  readonly device: number;
}

export interface PlannedWhiteout {
  readonly kind: 'whiteout';
}

/** Of the layers below, and no directory. */
export interface LowerEntry {
  readonly kind: 'lower';
  readonly found: Found;
}

export interface Place {
  /** The deepest directory of the way that is there. */
  readonly directory: PlannedDirectory;
  readonly path: readonly string[];
  /** The rest of the way, which is not there. */
  readonly missing: readonly string[];
  /** At the end of the way is something else than a directory: its name in `directory`. */
  readonly other: string | null;
}

/** As the kernel's. */
const MAXIMUM_LINKS = 40;

export class PlannedTree {
  readonly root: PlannedDirectory;

  readonly #blocked: (path: readonly string[]) => Error;

  /** `blocked`: what to say of something on the way that is no directory. */
  constructor(lowers: LayerStack | null, blocked = notDirectory) {
    this.#blocked = blocked;
    this.root = plannedDirectory(lowers?.lookup([]) ?? null, null);
  }

  /** What a name stands for now; null: nothing. */
  look(directory: PlannedDirectory, name: string): Exclude<PlannedNode, PlannedWhiteout> | LowerEntry | null {
    const own = directory.children.get(name);
    if (own !== undefined) return own.kind === 'whiteout' ? null : own;
    const found = directory.lower === null ? null : childOf(directory.lower, name);
    if (found === null) return null;
    if (!found.stats.isDirectory()) return { kind: 'lower', found };
    const planned = plannedDirectory(found, null);
    directory.children.set(name, planned);
    return planned;
  }

  /** Follows every link inside the tree, the last one too; `..` stops at the root. */
  resolve(path: string): Place {
    if (path.includes('\0')) throw invalid(`the path ${printableName(path)} holds a NUL byte`);
    const pending = componentsOf(path).reverse();
    const trail: { readonly name: string; readonly directory: PlannedDirectory }[] = [{ name: '', directory: this.root }];
    const missing: string[] = [];
    for (let links = 0; pending.length > 0; ) {
      const name = pending.pop() ?? '';
      if (name === '..') {
        if (missing.length > 0) missing.pop();
        else if (trail.length > 1) trail.pop();
        continue;
      }
      const directory = trail.at(-1)?.directory ?? this.root;
      const seen = missing.length > 0 ? null : this.look(directory, name);
      const link = linkTargetOf(seen);
      if (link !== null) {
        if (++links > MAXIMUM_LINKS) throw invalid(`symbolic links go in circles at ${printableName(path)}`);
        if (link.startsWith('/')) trail.length = 1;
        pending.push(...componentsOf(link).reverse());
      } else if (seen === null) missing.push(name);
      else if (seen.kind === 'directory') trail.push({ name, directory: seen });
      else if (pending.length > 0) throw this.#blocked([...pathOf(trail), name]);
      else return { directory, path: pathOf(trail), missing, other: name };
    }
    return { directory: trail.at(-1)?.directory ?? this.root, path: pathOf(trail), missing, other: null };
  }

  /** The directory at a place, made with its parents where it is missing. */
  directoryAt({ directory, path, missing, other }: Place, attributes: DirectoryAttributes): PlannedDirectory {
    if (other !== null) throw this.#blocked([...path, other]);
    return missing.reduce((above, name) => this.makeDirectory(above, name, attributes), directory);
  }

  /** Where nothing is, or something that it replaces. */
  makeDirectory(above: PlannedDirectory, name: string, attributes: DirectoryAttributes): PlannedDirectory {
    const below = above.lower === null ? null : childOf(above.lower, name);
    const hides = below?.stats.isDirectory() === true && childrenOf(below).length > 0;
    const made: PlannedDirectory = { kind: 'directory', children: new Map(), lower: null, hides, attributes };
    above.children.set(name, made);
    return made;
  }
}

function plannedDirectory(lower: Found | null, attributes: DirectoryAttributes | null): PlannedDirectory {
  return { kind: 'directory', children: new Map(), lower, hides: false, attributes };
}

export function notDirectory(path: readonly string[]): Error {
  return invalid(`cannot copy to non-directory: /${path.join('/')}`);
}

function linkTargetOf(seen: ReturnType<PlannedTree['look']>): string | null {
  if (seen?.kind === 'symbolic-link') return seen.linkTarget;
  return seen?.kind === 'lower' && seen.found.stats.isSymbolicLink() ? readLink(seen.found.path) : null;
}

function pathOf(trail: readonly { readonly name: string }[]): readonly string[] {
  return trail.slice(1).map(({ name }) => name);
}
