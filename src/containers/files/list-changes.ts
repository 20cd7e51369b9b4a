/**
 * `diff`: what a container's upper directory changes of the layers below it. In worker threads; the upper directory may be written to meanwhile.
 *
 * Docker compares the two merged trees: a directory counts as changed for its owner and mode, or for something in it; anything else for its owner, mode,
 * device number, size, time and capabilities too. What a deleted or replaced directory held is not listed.
 */
import { type BigIntStats, lstatSync } from 'node:fs';
import { getAttributeOfPath, readAttributes } from '../../linux/extended-attributes.ts';
import { AT_FDCWD, closeDescriptor, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openAt, pathAt } from '../../linux/file-calls.ts';
import { type TreeVisitor, walkTree } from '../../linux/walk-tree.ts';
import { childOf, childrenOf, type Found, hostPath, LayerStack } from '../../store/layer-stack.ts';
import type { FileChange } from '../containers.ts';

const OPAQUE = 'trusted.overlay.opaque';

export function listChanges(upper: string, lowers: readonly string[], checkpoint: () => void): readonly FileChange[] {
  const root = openAt(AT_FDCWD, upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const lister = new ChangeLister(new LayerStack(lowers).lookup([]), checkpoint);
    walkTree(root, lister);
    return lister.result();
  } finally {
    closeDescriptor(root);
  }
}

export function isWhiteoutEntry(stats: BigIntStats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0n;
}

/** Of an open directory of an upper directory: nothing of the layers below shows in it. */
export function isOpaqueDirectory(directory: number): boolean {
  return (
    readAttributes(directory, (name) => name === OPAQUE)
      .get(OPAQUE)
      ?.toString() === 'y'
  );
}

interface Level {
  readonly path: string;
  /** The directory below it; null: there is none. */
  readonly lower: Found | null;
  /** Its own line, kept when something in it changed; null: it has one already. */
  readonly line: Line | null;
  readonly keptBefore: number;
  /** Of an opaque directory: the names that it has itself. */
  readonly names: Set<string> | null;
}

interface Line extends FileChange {
  kept: boolean;
}

class ChangeLister implements TreeVisitor {
  readonly #levels: Level[];
  readonly #lines: Line[] = [];
  readonly #checkpoint: () => void;
  #kept = 0;

  constructor(lower: Found | null, checkpoint: () => void) {
    this.#levels = [{ path: '', lower, line: null, keptBefore: 0, names: null }];
    this.#checkpoint = checkpoint;
  }

  result(): readonly FileChange[] {
    const kept = this.#lines.filter((line) => line.kept).map(({ path, kind }): FileChange => ({ path, kind }));
    return kept.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  entry(parent: number, name: string, stats: BigIntStats): void {
    this.#checkpoint();
    const { path, lower } = this.#below(name);
    if (isWhiteoutEntry(stats)) {
      if (lower !== null) this.#add(path, 'deleted');
    } else if (lower === null) this.#add(path, 'added');
    else if (differs(stats, lower) || capabilitiesDiffer(pathAt(parent, name), stats, lower)) this.#add(path, 'modified');
  }

  enter(directory: number, name: string, stats: BigIntStats): void {
    this.#checkpoint();
    const { path, lower } = this.#below(name);
    const merged = lower?.stats.isDirectory() === true ? lower : null;
    const names = merged !== null && isOpaqueDirectory(directory) ? new Set<string>() : null;
    if (merged === null) this.#add(path, lower === null ? 'added' : 'modified');
    const line = merged === null ? null : this.#add(path, 'modified', differs(stats, merged));
    this.#levels.push({ path, lower: merged, line, keptBefore: this.#kept, names });
  }

  leave(): void {
    const level = this.#levels.pop();
    if (level === undefined) return;
    const { lower, names, line } = level;
    if (lower !== null && names !== null) {
      for (const { name } of childrenOf(lower)) if (!names.has(name)) this.#add(`${level.path}/${name}`, 'deleted');
    }
    if (line === null || line.kept || this.#kept === level.keptBefore) return;
    line.kept = true;
    this.#kept++;
  }

  #below(name: string): { readonly path: string; readonly lower: Found | null } {
    const level = this.#levels.at(-1);
    level?.names?.add(name);
    const lower = level?.lower ?? null;
    return { path: `${level?.path ?? ''}/${name}`, lower: lower === null ? null : childOf(lower, name) };
  }

  #add(path: string, kind: FileChange['kind'], kept = true): Line {
    const line: Line = { path, kind, kept };
    this.#lines.push(line);
    if (kept) this.#kept++;
    return line;
  }
}

function differs(stats: BigIntStats, lower: Found): boolean {
  // Only the exact form has all nanoseconds.
  const before = lstatSync(hostPath(lower.path), { bigint: true });
  if (stats.mode !== before.mode || stats.uid !== before.uid || stats.gid !== before.gid || stats.rdev !== before.rdev) return true;
  return !stats.isDirectory() && (stats.mtimeNs !== before.mtimeNs || stats.size !== before.size);
}

function capabilitiesDiffer(path: string | Buffer, stats: BigIntStats, lower: Found): boolean {
  if (!stats.isFile()) return false;
  const now = capabilities(path);
  const before = capabilities(hostPath(lower.path));
  return now === null || before === null ? now !== before : !now.equals(before);
}

function capabilities(path: string | Buffer): Buffer | null {
  return getAttributeOfPath(path, 'security.capability');
}
