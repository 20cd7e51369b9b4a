/**
 * What COPY, ADD and mounts select of a context or of another stage's tree: paths, links and wildcards resolved inside its root, `--exclude` and `--parents` applied. Read without mounts.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { posix } from 'node:path';
import { IgnorePatterns, type IgnoreState } from '../../archive/ignore-patterns.ts';
import { decodeName, printableName } from '../../base/byte-name.ts';
import { invalid, notFound } from '../../base/errors.ts';
import { childrenOf, componentsOf, type Found, hostPath, isWhiteout, LayerStack } from '../../store/layer-stack.ts';
import { compareNames } from './byte-order.ts';
import { componentMatcher, hasWildcards } from './component-pattern.ts';

export interface SourceRoot {
  /** Host paths, topmost first. */
  readonly directories: readonly string[];
  /** The client's files, of nobody in particular. */
  readonly isContext: boolean;
}

export interface SourceRequest {
  readonly pattern: string;
  readonly excludes: readonly string[];
  /** Keep the path below the destination. */
  readonly parents: boolean;
  /** Wildcards are none. */
  readonly literal: boolean;
}

/** One file or directory that a pattern stands for. */
export interface Match {
  /** Its last name as it was written or found, whatever link it is. */
  readonly name: string;
  /** For messages and digests: from the root, without a `/` in front. */
  readonly path: string;
  /** Never a symbolic link, unless the way to it is kept. */
  readonly found: Found;
  readonly filter: SourceFilter;
}

/** Which entries of a directory count. Paths are relative to it. */
export interface SourceFilter {
  /** Null: all that aren't excluded. */
  readonly include: IgnorePatterns | null;
  /** What is included lies below these names, one in the other. */
  readonly lead: readonly string[];
  readonly exclude: IgnorePatterns;
}

export interface SourceVisitor {
  /** A directory below the one that was asked for, in front of what counts in it. */
  enter(name: string, found: Found): void;
  leave(): void;
  entry(name: string, found: Found): void;
}

export function findSources(root: SourceRoot, request: SourceRequest): readonly Match[] {
  const stack = new LayerStack(root.directories);
  const exclude = IgnorePatterns.parse(request.excludes.join('\n'));
  if (request.parents) return [parentsMatch(stack, root, request.pattern, exclude)];
  const path = cleaned(request.pattern);
  const filter = { include: null, lead: [], exclude };
  if (request.literal || !hasWildcards(path)) {
    const match = { ...lastOf(path), found: existing(stack, root, path), filter };
    return isExcludedFile(match) ? [] : [match];
  }
  const components = componentsOf(path);
  const first = components.findIndex(hasWildcards);
  const base = components.slice(0, first);
  const start = existing(stack, root, base.join('/'));
  return matching(start, base, components.slice(first))
    .map((matched) => ({ ...lastOf(matched.join('/')), found: existing(stack, root, matched.join('/')), filter }))
    .filter((match) => !isExcludedFile(match));
}

/** `--exclude` may name the file itself. */
function isExcludedFile({ found, name, filter }: Match): boolean {
  return !found.stats.isDirectory() && filter.exclude.ignores(name);
}

/** Goes through what counts of a directory, sorted, depth first. Directories appear when they count themselves, or something in them does. */
export function walkSource({ found, filter }: Match, visitor: SourceVisitor, checkpoint: () => void): void {
  new SourceWalk(filter, visitor, checkpoint).walk(found);
}

/** What a directory holds, sorted by the bytes of the names. */
export function sourceChildren(directory: Found): readonly { readonly name: string; readonly found: Found }[] {
  const [only, second] = directory.merged;
  if (only === undefined) return [];
  if (second !== undefined) return [...childrenOf(directory)].sort((one, other) => compareNames(one.name, other.name));
  const names = readdirSync(hostPath(only), { encoding: 'buffer' }).map(decodeName);
  return names.sort(compareNames).flatMap((name) => {
    const path = `${only}/${name}`;
    const stats = lstatSync(hostPath(path));
    if (isWhiteout(stats)) return [];
    return [{ name, found: { path, stats, resolved: [...directory.resolved, name], merged: stats.isDirectory() ? [path] : [] } }];
  });
}

class SourceWalk {
  readonly #filter: SourceFilter;
  readonly #visitor: SourceVisitor;
  readonly #checkpoint: () => void;
  /** Directories on the way that were not told yet. */
  readonly #waiting: { readonly name: string; readonly found: Found }[] = [];
  #told = 0;

  constructor(filter: SourceFilter, visitor: SourceVisitor, checkpoint: () => void) {
    this.#filter = filter;
    this.#visitor = visitor;
    this.#checkpoint = checkpoint;
  }

  walk(directory: Found): void {
    const { include, exclude } = this.#filter;
    this.#children(directory, [], { include: include?.rootState ?? [], exclude: exclude.rootState });
  }

  #children(directory: Found, above: readonly string[], parent: { readonly include: IgnoreState; readonly exclude: IgnoreState }): void {
    const { include, lead, exclude } = this.#filter;
    for (const { name, found } of sourceChildren(directory)) {
      this.#checkpoint();
      if (name !== (lead[above.length] ?? name)) continue;
      const components = [...above, name];
      const path = components.join('/');
      const included = include?.look(path, parent.include) ?? { ignored: true, state: [] };
      const excluded = exclude.look(path, parent.exclude);
      const counts = included.ignored && !excluded.ignored;
      if (!found.stats.isDirectory()) {
        if (counts) this.#tell(() => this.#visitor.entry(name, found));
        continue;
      }
      if (excluded.ignored && !exclude.mayTakeBackBelow(path, excluded.state)) continue;
      this.#waiting.push({ name, found });
      if (counts) this.#tell(() => {});
      this.#children(found, components, { include: included.state, exclude: excluded.state });
      this.#waiting.pop();
      if (this.#told <= this.#waiting.length) continue;
      this.#told--;
      this.#visitor.leave();
    }
  }

  #tell(what: () => void): void {
    for (const { name, found } of this.#waiting.slice(this.#told)) this.#visitor.enter(name, found);
    this.#told = this.#waiting.length;
    what();
  }
}

/** `a/b/./c/*.txt`: what is kept of the path begins behind the `/./`. Links on the way are not followed. */
function parentsMatch(stack: LayerStack, root: SourceRoot, pattern: string, exclude: IgnorePatterns): Match {
  const written = pattern.replace(/^\/+/, '').replace(/^(?:\.\/)+(?!\.\/)/, '');
  const pivot = written.indexOf('/./');
  const base = cleaned(pivot === -1 ? '' : written.slice(0, pivot));
  const kept = cleaned(pivot === -1 ? written : written.slice(pivot + 3));
  const found = existing(stack, root, base);
  const isPattern = hasWildcards(kept);
  if (!isPattern && kept !== '') {
    const there = new LayerStack(found.merged).lookup(componentsOf(kept));
    if (there === null) throw missing(root, posix.join(base, kept));
  }
  // Characters that mean something to the language of ignore files only.
  const line = kept.replace(/^([#!])/, '\\$1');
  const components = componentsOf(kept);
  const wild = components.findIndex(hasWildcards);
  const lead = wild === -1 ? components : components.slice(0, wild);
  const include = kept === '' ? null : IgnorePatterns.parse(isPattern ? line : escaped(line));
  return { ...lastOf(base), found, filter: { include, lead, exclude } };
}

function escaped(path: string): string {
  return path.replace(/\\(?![#!])/g, '\\\\').trim();
}

function matching(start: Found, base: readonly string[], patterns: readonly string[]): readonly (readonly string[])[] {
  let reached: readonly { readonly found: Found; readonly path: readonly string[] }[] = [{ found: start, path: base }];
  for (const pattern of patterns) {
    const matches = componentMatcher(pattern);
    reached = reached.flatMap(({ found, path }) =>
      found.stats.isDirectory()
        ? sourceChildren(found).flatMap((child) => (matches(child.name) ? [{ found: child.found, path: [...path, child.name] }] : []))
        : [],
    );
  }
  return reached.map(({ path }) => path);
}

function existing(stack: LayerStack, root: SourceRoot, path: string): Found {
  if (path.includes('\0')) throw invalid(`the path ${printableName(path)} holds a NUL byte`);
  const found = stack.resolve(path);
  if (found === null) throw missing(root, path);
  return found;
}

function missing({ isContext }: SourceRoot, path: string): Error {
  const hint = isContext ? ': the build context has no such file, or .dockerignore excludes it' : '';
  return notFound(`${JSON.stringify(`/${path}`)}: not found${hint}`);
}

/** Relative, without `.` and `..`, which stop at the root. */
function cleaned(pattern: string): string {
  return posix.resolve('/', pattern.replace(/^\/+/, '')).slice(1);
}

function lastOf(path: string): { readonly name: string; readonly path: string } {
  return { name: posix.basename(path), path };
}
