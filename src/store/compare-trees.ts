/**
 * What two stacks of layers differ in, as overlay would show them. Where both have a directory from the same layers, nothing below it can differ and nobody looks; so two
 * images that share most of their layers are compared in no time.
 */
import { closeSync, openSync, readSync, type Stats } from 'node:fs';
import { childrenOf, type Found, hostPath, LayerStack, readLink } from './layer-stack.ts';

export interface CompareJob {
  readonly kind: 'compare';
  /** Host paths of directories, topmost first. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** Changes that are told one by one. */
  readonly limit: number;
}

export type DifferenceAspect = 'content' | 'mode' | 'owner' | 'type' | 'link';

export interface TreeChange {
  readonly kind: 'added' | 'changed' | 'removed';
  readonly path: string;
  readonly type: string;
  /** Bytes of the file, or of all files in a directory that is only on one side; null: it is not there. */
  readonly before: number | null;
  readonly after: number | null;
  readonly aspects: readonly DifferenceAspect[];
}

export interface TreeDifference {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly changes: readonly TreeChange[];
}

const compareBytes = 256 * 1024;

export function compareTrees(job: CompareJob, checkpoint: () => void): TreeDifference {
  const comparison = new Comparison(job.limit, checkpoint);
  const [from, to] = [new LayerStack(job.from).lookup([]), new LayerStack(job.to).lookup([])];
  if (from !== null && to !== null) comparison.directories(from, to);
  else if (to !== null) comparison.onlyIn('added', to);
  else if (from !== null) comparison.onlyIn('removed', from);
  return comparison.result();
}

class Comparison {
  readonly #limit: number;
  readonly #checkpoint: () => void;
  readonly #changes: TreeChange[] = [];
  readonly #counts = { added: 0, changed: 0, removed: 0 };

  constructor(limit: number, checkpoint: () => void) {
    this.#limit = limit;
    this.#checkpoint = checkpoint;
  }

  result(): TreeDifference {
    return { ...this.#counts, changes: this.#changes };
  }

  directories(from: Found, to: Found): void {
    if (isSame(from.merged, to.merged)) return;
    const before = new Map(childrenOf(from).map(({ name, found }) => [name, found]));
    const after = new Map(childrenOf(to).map(({ name, found }) => [name, found]));
    for (const name of [...new Set([...before.keys(), ...after.keys()])].sort()) {
      this.#checkpoint();
      const [one, other] = [before.get(name), after.get(name)];
      if (one === undefined && other !== undefined) this.onlyIn('added', other);
      else if (one !== undefined && other === undefined) this.onlyIn('removed', one);
      else if (one !== undefined && other !== undefined) this.#both(one, other);
    }
  }

  onlyIn(kind: 'added' | 'removed', found: Found): void {
    const bytes = this.#bytesIn(found);
    this.#tell({
      kind,
      path: pathOf(found),
      type: typeOf(found.stats),
      before: kind === 'removed' ? bytes : null,
      after: kind === 'added' ? bytes : null,
      aspects: [],
    });
  }

  #both(from: Found, to: Found): void {
    const areDirectories = from.stats.isDirectory() && to.stats.isDirectory();
    if (!areDirectories && from.path === to.path) return;
    const aspects = this.#aspects(from, to);
    if (aspects.length > 0) {
      const [before, after] = [sizeOf(from.stats), sizeOf(to.stats)];
      this.#tell({ kind: 'changed', path: pathOf(to), type: typeOf(to.stats), before, after, aspects });
    }
    if (areDirectories) this.directories(from, to);
  }

  #aspects(from: Found, to: Found): readonly DifferenceAspect[] {
    const [one, other] = [from.stats, to.stats];
    const found: DifferenceAspect[] = [];
    if (typeOf(one) !== typeOf(other)) return ['type'];
    if (one.isSymbolicLink()) return readLink(from.path) === readLink(to.path) ? [] : ['link'];
    if (one.isFile() && (one.size !== other.size || !this.#haveSameBytes(from.path, to.path))) found.push('content');
    if (!one.isFile() && !one.isDirectory() && one.rdev !== other.rdev) found.push('content');
    if ((one.mode & 0o7777) !== (other.mode & 0o7777)) found.push('mode');
    if (one.uid !== other.uid || one.gid !== other.gid) found.push('owner');
    return found;
  }

  #haveSameBytes(one: string, other: string): boolean {
    const [first, second] = [openSync(hostPath(one), 'r'), openSync(hostPath(other), 'r')];
    const [left, right] = [Buffer.allocUnsafe(compareBytes), Buffer.allocUnsafe(compareBytes)];
    try {
      for (;;) {
        this.#checkpoint();
        const length = readSync(first, left, 0, compareBytes, null);
        if (readSync(second, right, 0, compareBytes, null) !== length) return false;
        if (length === 0) return true;
        if (left.compare(right, 0, length, 0, length) !== 0) return false;
      }
    } finally {
      closeSync(first);
      closeSync(second);
    }
  }

  #bytesIn(found: Found): number {
    this.#checkpoint();
    if (!found.stats.isDirectory()) return sizeOf(found.stats);
    return childrenOf(found).reduce((sum, child) => sum + this.#bytesIn(child.found), 0);
  }

  #tell(change: TreeChange): void {
    this.#counts[change.kind]++;
    if (this.#changes.length < this.#limit) this.#changes.push(change);
  }
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((path, index) => path === other[index]);
}

function pathOf({ resolved }: Found): string {
  return `/${resolved.join('/')}`;
}

function sizeOf(stats: Stats): number {
  return stats.isFile() ? stats.size : 0;
}

function typeOf(stats: Stats): string {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'link';
  return stats.isFIFO() ? 'fifo' : 'device';
}
