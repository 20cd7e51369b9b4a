/**
 * Mount points of a step that its tree lacks, as a layer of their own on top of the tree: so they are never written into what the step changes, and nothing has to be cleaned up
 * afterwards in directories that the step controls.
 *
 *     upper        what the step writes                  becomes the layer
 *     scaffold     run/secrets/token  (empty, made here)  gone with the step
 *     init layer   dev proc sys etc
 *     tree
 *
 * Directories that are there already look in the scaffold as they do in the tree: the topmost layer decides what a directory looks like. Links on the way to a mount
 * point are followed inside the root, by looking at immutable layers only.
 */
import { chmodSync, chownSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeName, printableName } from '../../base/byte-name.ts';
import { invalid } from '../../base/errors.ts';
import { readAttributesOfPath, setAttributeOfPath } from '../../linux/extended-attributes.ts';
import { childOf, componentsOf, type Found, hostPath, type LayerStack, readLink } from '../../store/layer-stack.ts';

export interface MountPoint {
  /** Absolute. */
  readonly target: string;
  readonly kind: 'directory' | 'file';
  /** Of a directory that is missing; default: 0755. */
  readonly mode?: number;
}

export interface ScaffoldTree {
  /** With the init layer on top: what is mounted on. */
  readonly stack: LayerStack;
  /** Without it: what directories look like. */
  readonly image: LayerStack;
}

/** As the kernel's. */
const maximumLinks = 40;

/** File systems of their own are mounted there: a mount point below them is made in them. */
const otherFileSystems: ReadonlySet<string> = new Set(['dev', 'proc', 'sys']);

/** `directory` is made. */
export function makeScaffold(directory: string, tree: ScaffoldTree, points: readonly MountPoint[]): void {
  mkdirSync(directory, { mode: 0o755 });
  const scaffold = new Scaffold(directory, tree);
  // The init layer's has our attributes; as the image has it, nothing is seen to change when something in it is written.
  scaffold.mirror(['etc']);
  const placed = points.map((point) => ({ point, place: resolvePlace(tree.stack, point.target) }));
  for (const { point, place } of placed) {
    const isCovered = placed.some((other) => other.place !== place && isBelow(place.components, other.place.components));
    if (isCovered || otherFileSystems.has(place.components[0] ?? '')) continue;
    scaffold.add(point, place);
  }
  scaffold.setTimes();
}

interface Place {
  /** Without links. */
  readonly components: readonly string[];
  readonly found: Found | null;
}

/** Where the kernel would go, and on from there where nothing is. */
function resolvePlace(stack: LayerStack, target: string): Place {
  const pending = componentsOf(target).reverse();
  const trail: { readonly name: string; readonly found: Found | null }[] = [];
  const root = stack.lookup([]);
  for (let links = 0; pending.length > 0; ) {
    const name = pending.pop() ?? '';
    if (name === '..') {
      trail.pop();
      continue;
    }
    const parent = trail.length === 0 ? root : (trail.at(-1)?.found ?? null);
    if (parent !== null && !parent.stats.isDirectory())
      throw invalid(`cannot mount on ${target}: /${trail.map((step) => printableName(step.name)).join('/')} is not a directory`);
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
  return { components: trail.map(({ name }) => name), found: trail.length === 0 ? root : (trail.at(-1)?.found ?? null) };
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

  add({ target, kind, mode = 0o755 }: MountPoint, { components, found }: Place): void {
    if (components.length === 0) throw invalid(`cannot mount on ${target}: it is the root directory`);
    if (found !== null) {
      if (found.stats.isDirectory() === (kind === 'directory')) return;
      const is = found.stats.isDirectory() ? 'a directory' : 'not a directory';
      throw invalid(`cannot mount a ${kind} on ${target}: it is ${is} there`);
    }
    for (let depth = 1; depth < components.length; depth++) this.mirror(components.slice(0, depth), 0o755);
    if (kind === 'directory') this.mirror(components, mode);
    else if (this.#takes(components)) writeFileSync(this.#path(components), '', { mode: 0o644, flag: 'wx' });
  }

  /** As the tree has it; one that the tree lacks is made with `mode`, if that is given. */
  mirror(components: readonly string[], mode: number | null = null): void {
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
