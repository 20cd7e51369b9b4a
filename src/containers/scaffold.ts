/**
 * A layer of our own on top of an image, below what a container or a build step writes: mount points that the image lacks, and links and files that devices bring. So none of
 * it is ever written into what the container or the step changes, and nothing has to be cleaned up afterwards in directories that they control.
 *
 *     upper        what is written             becomes the layer of a step, or of a commit
 *     scaffold     run/secrets/token  (empty)  gone with the step, or with the run of the container
 *     init layer   dev proc sys etc
 *     image
 *
 * Directories that are there already look in the scaffold as they do in the image: the topmost layer decides what a directory looks like. Links on the way to a place
 * are followed inside the root, by looking only at directories that nobody changes meanwhile.
 */
import { chmodSync, chownSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { encodeName, printableName } from '../base/byte-name.ts';
import { invalid } from '../base/errors.ts';
import { readAttributesOfPath, setAttributeOfPath } from '../linux/extended-attributes.ts';
import { childOf, componentsOf, type Found, hostPath, type LayerStack, readLink } from '../store/layer-stack.ts';

export interface MountPoint {
  /** Absolute. */
  readonly target: string;
  readonly kind: 'directory' | 'file';
  /** Of a directory that is missing; default: 0755. */
  readonly mode?: number;
}

/** Paths are absolute; links on the way are followed, one in the last place is covered. */
export interface ScaffoldContent {
  readonly points: readonly MountPoint[];
  readonly links?: readonly { readonly path: string; readonly target: string }[];
  readonly files?: readonly { readonly path: string; readonly content: Uint8Array }[];
  /** Mounted by others: what would lie below them is left out. */
  readonly covered?: readonly string[];
}

export interface ScaffoldTree {
  /** With the init layer on top, and above it what a container wrote before: what is mounted on. */
  readonly stack: LayerStack;
  /** Without them: what directories look like. */
  readonly image: LayerStack;
}

/** As the kernel's. */
const maximumLinks = 40;

/** File systems of their own are mounted there: a mount point below them is made in them. */
const otherFileSystems: ReadonlySet<string> = new Set(['dev', 'proc', 'sys']);
/** A mount that lands there could fake what the set-up of a container reads. */
const kernelFileSystems: ReadonlySet<string> = new Set(['proc', 'sys']);

/** `directory` is made. */
export function makeScaffold(
  directory: string,
  tree: ScaffoldTree,
  { points, links = [], files = [], covered = [] }: ScaffoldContent,
): void {
  mkdirSync(directory, { mode: 0o755 });
  const places = new PlaceFinder(tree.stack);
  const scaffold = new Scaffold(directory, tree);
  // The init layer's has our attributes; as the image has it, nothing is seen to change when something in it is written.
  scaffold.mirror(['etc']);
  const placed = points.map((point) => ({ point, place: places.of(point.target) }));
  const mounted = [...placed.map(({ place }) => place), ...covered.map((target) => places.of(target))];
  const isTaken = (place: Place): boolean =>
    otherFileSystems.has(place.components[0] ?? '') ||
    mounted.some((other) => other !== place && isBelow(place.components, other.components));
  for (const { point, place } of placed) if (!isTaken(place)) scaffold.addPoint(point, place);
  for (const { path, target } of links) {
    const place = places.ofLink(path);
    if (!isTaken(place)) scaffold.addLink(path, target, place);
  }
  for (const { path, content } of files) {
    const place = places.ofLink(path);
    if (!isTaken(place)) scaffold.addFile(path, content, place);
  }
  scaffold.setTimes();
}

interface Place {
  /** Without links. */
  readonly components: readonly string[];
  readonly found: Found | null;
}

type Trail = readonly { readonly name: string; readonly found: Found | null }[];

/** Where the kernel would go, and on from there where nothing is. Many places are in the same few directories, which are looked up once. */
class PlaceFinder {
  readonly #stack: LayerStack;
  readonly #root: Found | null;
  readonly #directories = new Map<string, Trail>();

  constructor(stack: LayerStack) {
    this.#stack = stack;
    this.#root = this.#stack.lookup([]);
  }

  of(target: string): Place {
    const place = this.#placeOf(this.#walk(this.#directory(target), basename(target), target));
    const [first = ''] = place.components;
    if (!kernelFileSystems.has(first) || componentsOf(target)[0] === first) return place;
    throw invalid(`cannot mount on ${target}: a link there leads to ${printableName(`/${place.components.join('/')}`)}`);
  }

  /** A link or a file in the last place is what will be covered. */
  ofLink(target: string): Place {
    const trail = this.#directory(target);
    const above = this.#placeOf(trail);
    const name = basename(target);
    if (above.found !== null) requireDirectory(above.found, trail, target);
    return { components: [...above.components, name], found: above.found === null ? null : childOf(above.found, name) };
  }

  #directory(target: string): Trail {
    const path = dirname(target);
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const trail = this.#walk([], path, target);
    this.#directories.set(path, trail);
    return trail;
  }

  #walk(from: Trail, path: string, target: string): Trail {
    const pending = componentsOf(path).reverse();
    const trail = [...from];
    for (let links = 0; pending.length > 0; ) {
      const name = pending.pop() ?? '';
      if (name === '..') {
        trail.pop();
        continue;
      }
      const parent = this.#placeOf(trail).found;
      if (parent !== null) requireDirectory(parent, trail, target);
      const found = parent === null ? null : childOf(parent, name);
      if (found === null || !found.stats.isSymbolicLink()) {
        trail.push({ name, found });
        continue;
      }
      if (++links > maximumLinks) throw invalid(`cannot mount on ${target}: too many levels of symbolic links`);
      const link = readLink(found.path);
      if (link.startsWith('/')) trail.length = 0;
      pending.push(...componentsOf(link).reverse());
    }
    return trail;
  }

  #placeOf(trail: Trail): Place {
    return { components: trail.map(({ name }) => name), found: trail.length === 0 ? this.#root : (trail.at(-1)?.found ?? null) };
  }
}

function requireDirectory({ stats }: Found, trail: Trail, target: string): void {
  if (stats.isDirectory()) return;
  throw invalid(`cannot mount on ${target}: ${printableName(`/${trail.map(({ name }) => name).join('/')}`)} is not a directory`);
}

function isBelow(components: readonly string[], other: readonly string[]): boolean {
  return components.length > other.length && other.every((name, index) => components[index] === name);
}

class Scaffold {
  readonly #directory: string;
  readonly #tree: ScaffoldTree;
  readonly #made = new Set<string>();
  readonly #times: { readonly path: string | Buffer; readonly modifiedAt: number }[] = [];

  constructor(directory: string, tree: ScaffoldTree) {
    this.#directory = directory;
    this.#tree = tree;
  }

  addPoint({ target, kind, mode = 0o755 }: MountPoint, { components, found }: Place): void {
    if (components.length === 0) throw invalid(`cannot mount on ${target}: it is the root directory`);
    if (found !== null) {
      if (found.stats.isDirectory() === (kind === 'directory')) return;
      const is = found.stats.isDirectory() ? 'a directory' : 'not a directory';
      throw invalid(`cannot mount a ${kind} on ${target}: it is ${is} there`);
    }
    if (kind === 'directory') this.#mirrorAll(components, mode);
    else this.#put(components, (path) => writeFileSync(path, '', { mode: 0o644, flag: 'wx' }));
  }

  addLink(path: string, target: string, { components, found }: Place): void {
    if (found?.stats.isDirectory() === true) throw invalid(`cannot make the link ${path}: it is a directory there`);
    this.#put(components, (made) => symlinkSync(target, made));
  }

  addFile(path: string, content: Uint8Array, { components, found }: Place): void {
    if (found?.stats.isDirectory() === true) throw invalid(`cannot make the file ${path}: it is a directory there`);
    this.#put(components, (made) => writeFileSync(made, content, { mode: 0o644, flag: 'wx' }));
  }

  /** As the tree has it; one that the tree lacks is made with `mode`, if that is given. */
  mirror(components: readonly string[], mode: number | null = null): void {
    if (this.#made.has(components.join('/'))) return;
    const found = this.#tree.image.lookup(components);
    const shown = found?.stats.isDirectory() === true ? found : mode === null ? null : this.#tree.stack.lookup(components);
    if ((shown === null && mode === null) || !this.#takes(components)) return;
    const path = this.#path(components);
    mkdirSync(path);
    if (shown === null) {
      chmodSync(path, mode ?? 0o755);
      return;
    }
    const { stats } = shown;
    chownSync(path, stats.uid, stats.gid);
    chmodSync(path, stats.mode & 0o7777);
    for (const [name, value] of readAttributesOfPath(encodeName(shown.path), isOfTheTree)) setAttributeOfPath(path, name, value);
    this.#times.push({ path, modifiedAt: stats.mtimeMs / 1000 });
  }

  /** What is made in a directory changes its time: set when everything is there. */
  setTimes(): void {
    for (const { path, modifiedAt } of this.#times) utimesSync(path, modifiedAt, modifiedAt);
  }

  /** The first that asks for a place has it. */
  #put(components: readonly string[], make: (path: Buffer) => void): void {
    this.#mirrorAll(components.slice(0, -1), 0o755);
    if (this.#takes(components)) make(this.#path(components));
  }

  /** The last one with `mode`, where it is missing. */
  #mirrorAll(components: readonly string[], mode: number): void {
    for (let depth = 1; depth <= components.length; depth++)
      this.mirror(components.slice(0, depth), depth < components.length ? 0o755 : mode);
  }

  #takes(components: readonly string[]): boolean {
    const key = components.join('/');
    if (this.#made.has(key)) return false;
    this.#made.add(key);
    return true;
  }

  #path(components: readonly string[]): Buffer {
    return Buffer.from(hostPath(join(this.#directory, ...components)));
  }
}

/** Overlay's own attributes say how layers lie over each other. */
function isOfTheTree(name: string): boolean {
  return !name.startsWith('trusted.overlay.');
}
