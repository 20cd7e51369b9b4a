/**
 * COPY and ADD of files, planned: where each source goes on top of the tree, with which owner and mode. The rules are BuildKit's; `docs/build.md` lists them.
 *
 *   file → directory (or `d/`)          file of its own name in it              directory → anything    its content is merged into it
 *   file → anything else                that file, through links of the tree    entry of a directory    never through links; a file replaces a file or a link
 */

import { invalid } from '../../base/errors.ts';
import { type Found, hostPath, readLink } from '../../store/layer-stack.ts';
import { changedMode } from '../plan/mode-change.ts';
import type { ModeChange } from '../plan/operation.ts';
import type { FileOwner } from './file-owner.ts';
import { type ExtendedAttributes, keptAttributesOfPath } from './kept-attributes.ts';
import type { DirectoryAttributes, FileAttributes, FileContent, PlannedDirectory, PlannedNode } from './planned-tree.ts';
import { notDirectory, type PlannedTree } from './planned-tree.ts';
import { type Match, type SourceVisitor, walkSource } from './source-files.ts';

export interface CopyRules {
  /** Absolute; a `/` at its end says that it is a directory. */
  readonly destination: string;
  /** Null: 0:0 of what comes from a context, its own of what comes from a tree. */
  readonly owner: FileOwner | null;
  readonly mode: ModeChange | null;
  readonly epoch: number;
  checkpoint(): void;
}

const noAttributes: ExtendedAttributes = new Map();

export class FilePlanner {
  readonly tree: PlannedTree;
  readonly #rules: CopyRules;

  constructor(tree: PlannedTree, rules: CopyRules) {
    this.tree = tree;
    this.#rules = rules;
  }

  get destination(): string {
    return this.#rules.destination;
  }

  /** Of directories that nobody copies: those on the way, and the one that a directory's content goes to. */
  get newDirectory(): DirectoryAttributes {
    const { owner, mode, epoch } = this.#rules;
    const bits = mode?.kind === 'octal' ? mode.mode : 0o755;
    return { mode: bits, ...(owner ?? root), modifiedAt: epoch, extendedAttributes: noAttributes };
  }

  /** More than one file can't become one file. */
  requireDirectory(instruction: string): void {
    const { destination } = this.#rules;
    const { missing, other } = this.tree.resolve(destination);
    if (destination.endsWith('/') || (missing.length === 0 && other === null)) return;
    throw invalid(`When using ${instruction} with more than one source file, the destination must be a directory and end with a /`);
  }

  /** A heredoc. */
  body(name: string, text: string): void {
    if (/[/\0]/.test(name) || /^\.{0,2}$/.test(name))
      throw invalid(`the here-document ${JSON.stringify(name)} can't be a file: give it a plain name`);
    const bytes = Buffer.from(text, 'utf8');
    const { owner, mode, epoch } = this.#rules;
    const attributes = { mode: mode === null ? 0o644 : changedMode(mode, 0o644, false), ...(owner ?? root) };
    const content: FileContent = { ...attributes, modifiedAt: epoch, sizeBytes: bytes.length, from: { kind: 'bytes', bytes } };
    this.#nodeTo(name, { kind: 'file', content });
  }

  copy(match: Match, keepsOwner: boolean): void {
    const source = new SourceCopier(this, this.#rules, keepsOwner);
    if (!match.found.stats.isDirectory()) this.#nodeTo(match.name, source.node(match.found));
    else {
      const target = this.directoryTo();
      walkSource(match, source.into(target.directory, target.path), this.#rules.checkpoint);
    }
  }

  /** Where the content of a directory goes. */
  directoryTo(): { readonly directory: PlannedDirectory; readonly path: readonly string[] } {
    const place = this.tree.resolve(this.#rules.destination);
    return { directory: this.tree.directoryAt(place, this.newDirectory), path: [...place.path, ...place.missing] };
  }

  put(directory: PlannedDirectory, path: readonly string[], name: string, node: PlannedNode): void {
    if (this.tree.look(directory, name)?.kind === 'directory') {
      throw invalid(`cannot replace to directory /${[...path, name].join('/')} with file`);
    }
    directory.children.set(name, node);
  }

  #nodeTo(name: string, node: PlannedNode): void {
    const { destination } = this.#rules;
    const place = this.tree.resolve(destination);
    const { path, missing, other } = place;
    if (destination.endsWith('/') || (missing.length === 0 && other === null)) {
      this.put(this.tree.directoryAt(place, this.newDirectory), [...path, ...missing], name, node);
      return;
    }
    const above = other === null ? missing.slice(0, -1) : [];
    const directory = this.tree.directoryAt({ ...place, missing: above, other: null }, this.newDirectory);
    this.put(directory, [...path, ...above], other ?? missing.at(-1) ?? name, node);
  }
}

const root: FileOwner = { uid: 0, gid: 0 };

/** A link, a FIFO or a device. */
export function specialNode(
  { path, stats }: Pick<Found, 'path' | 'stats'>,
  attributes: FileAttributes & { readonly modifiedAt: number },
): PlannedNode {
  if (stats.isSymbolicLink()) return { ...attributes, kind: 'symbolic-link', mode: 0o777, linkTarget: readLink(path), device: 0 };
  const kind = stats.isFIFO() ? 'fifo' : stats.isBlockDevice() ? 'block-device' : 'character-device';
  return { ...attributes, kind, linkTarget: '', device: stats.rdev };
}

/** The files of one source. Links between them stay; those to other sources become copies. */
class SourceCopier {
  readonly #planner: FilePlanner;
  readonly #rules: CopyRules;
  readonly #keepsOwner: boolean;
  /** Device and inode of files with several names. */
  readonly #linked = new Map<string, FileContent>();

  constructor(planner: FilePlanner, rules: CopyRules, keepsOwner: boolean) {
    this.#planner = planner;
    this.#rules = rules;
    this.#keepsOwner = keepsOwner;
  }

  /** Merges a directory's content into another. */
  into(directory: PlannedDirectory, path: readonly string[]): SourceVisitor {
    const trail = [{ directory, path }];
    const here = () => trail.at(-1) ?? { directory, path };
    return {
      enter: (name, found) => {
        const above = here();
        const there = [...above.path, name];
        trail.push({ directory: this.#directory(above.directory, there, name, found), path: there });
      },
      leave: () => void trail.pop(),
      entry: (name, found) => {
        const above = here();
        this.#planner.put(above.directory, above.path, name, this.node(found));
      },
    };
  }

  /** Anything but a directory. */
  node(found: Found): PlannedNode {
    const { stats } = found;
    if (stats.isFile()) return { kind: 'file', content: this.#content(found) };
    return specialNode(found, { ...this.#attributes(found), modifiedAt: this.#rules.epoch });
  }

  /** What is there keeps its content, and gets the attributes of the source's. */
  #directory(above: PlannedDirectory, path: readonly string[], name: string, found: Found): PlannedDirectory {
    const existing = this.#planner.tree.look(above, name);
    const extendedAttributes = keptAttributesOfPath(hostPath(found.path));
    const attributes = { ...this.#attributes(found), modifiedAt: this.#rules.epoch, extendedAttributes };
    if (existing === null) return this.#planner.tree.makeDirectory(above, name, attributes);
    if (existing.kind !== 'directory') throw notDirectory(path);
    existing.attributes = attributes;
    return existing;
  }

  #content(found: Found): FileContent {
    const { dev, ino, nlink, size } = found.stats;
    const identity = `${dev}:${ino}`;
    const known = nlink > 1 ? this.#linked.get(identity) : undefined;
    if (known !== undefined) return known;
    const from = { kind: 'path', path: found.path, isOurs: false } as const;
    const content: FileContent = { ...this.#attributes(found), modifiedAt: this.#rules.epoch, sizeBytes: size, from };
    if (nlink > 1) this.#linked.set(identity, content);
    return content;
  }

  #attributes({ stats }: Found): FileAttributes {
    const { owner, mode } = this.#rules;
    const { uid, gid } = owner ?? (this.#keepsOwner ? stats : root);
    const bits = stats.mode & 0o7777;
    return { mode: mode === null ? bits : changedMode(mode, bits, stats.isDirectory()), uid, gid };
  }
}
