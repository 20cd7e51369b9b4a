/**
 * `.dockerignore`: which paths of a build context are left out.
 *
 * Patterns are anchored at the root, unlike git's. They apply in order and the last that matches wins; `!` takes back in. A pattern that matches a folder matches everything
 * below it, so a walk carries, for every pattern, whether it matched a parent: one flag for all of them gives wrong answers.
 */
import { posix } from 'node:path';
import { invalid } from '../base/errors.ts';
import { type WildcardPiece, wildcardMatcher } from './wildcard-matcher.ts';

interface Pattern {
  readonly text: string;
  readonly includes: boolean;
  matches(path: string): boolean;
  /** Null: it may match anywhere. Else only this path, what is above it and what is below it. */
  readonly literal: string | null;
}

/** Every file is held against every pattern. */
const maxLines = 10_000;

/** What a walk knows of a folder: which patterns match it or a parent. */
export type IgnoreState = readonly boolean[];

export interface IgnoreAnswer {
  readonly ignored: boolean;
  /** For the entries of this folder. */
  readonly state: IgnoreState;
}

export class IgnorePatterns {
  readonly #patterns: readonly Pattern[];

  private constructor(patterns: readonly Pattern[]) {
    this.#patterns = patterns;
  }

  /** `invalid` names the line that can't be read. */
  static parse(text: string): IgnorePatterns {
    const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
    if (lines.length > maxLines) throw invalid(`more than ${maxLines} lines of patterns, the limit`);
    return new IgnorePatterns(lines.flatMap((line) => (line.startsWith('#') ? [] : parseLine(line.trim()))));
  }

  /** At least one `!`: what is ignored can only be told file by file. */
  get takesBackIn(): boolean {
    return this.#patterns.some(({ includes }) => includes);
  }

  get isEmpty(): boolean {
    return this.#patterns.length === 0;
  }

  /** Of the context's root, which is never ignored. */
  get rootState(): IgnoreState {
    return this.#patterns.map(() => false);
  }

  /** `path`: relative, with slashes. `parent`: the state of its folder. */
  look(path: string, parent: IgnoreState): IgnoreAnswer {
    const state = this.#patterns.map((pattern, index) => parent[index] === true || pattern.matches(path));
    const last = state.lastIndexOf(true);
    return { ignored: last !== -1 && this.#patterns[last]?.includes === false, state };
  }

  /** For one path, all its parents gone through. */
  ignores(path: string): boolean {
    const parts = path.split('/');
    let answer: IgnoreAnswer = { ignored: false, state: this.rootState };
    for (const index of parts.keys()) answer = this.look(parts.slice(0, index + 1).join('/'), answer.state);
    return answer.ignored;
  }

  /** Whether something below an ignored folder may be taken back in: only by a `!` that comes after the pattern that ignores it. */
  mayTakeBackBelow(folder: string, state: IgnoreState): boolean {
    const last = state.lastIndexOf(true);
    return this.#patterns.some(
      ({ includes, literal }, index) => includes && index > last && (literal === null || literal.startsWith(`${folder}/`)),
    );
  }
}

function parseLine(line: string): readonly Pattern[] {
  if (line === '') return [];
  const includes = line.startsWith('!');
  const written = (includes ? line.slice(1) : line).trim();
  if (written === '') throw invalid(`illegal exclusion pattern: ${JSON.stringify(line)}`);
  const text = posix.normalize(written).replace(/^\//, '').replace(/\/$/, '');
  // The root itself is never ignored.
  if (text === '' || text === '.') return [];
  return [{ text, includes, matches: matcher(text, line), literal: literalPart(text) }];
}

/** A `/*` or `/**` at its end changes nothing about where it may match. */
function literalPart(text: string): string | null {
  const bare = text.replace(/\/\*\*?$/, '');
  if (/[*?[\\]/.test(bare)) return null;
  return bare === text ? text : `${bare}/`;
}

function matcher(text: string, line: string): (path: string) => boolean {
  const special = /[*?[\]\\]/;
  if (!special.test(text)) return (path) => path === text;
  if (text.endsWith('/**') && !special.test(text.slice(0, -2))) return (path) => path.startsWith(text.slice(0, -2));
  if (text.startsWith('**') && !special.test(text.slice(2))) return suffixMatcher(text.slice(2));
  return wildcardMatcher(piecesOf(text, line));
}

/** `**\/b` is the path `b` too; `**b` is any path that ends so. */
function suffixMatcher(suffix: string): (path: string) => boolean {
  return (path) => path.endsWith(suffix) || (suffix.startsWith('/') && path === suffix.slice(1));
}

function piecesOf(text: string, line: string): readonly WildcardPiece[] {
  const pieces: WildcardPiece[] = [];
  const one = (source: string) => pieces.push({ kind: 'one', source });
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (text.startsWith('**', at)) {
      at += text.charAt(at + 2) === '/' ? 2 : 1;
      pieces.push(at >= text.length - 1 ? { kind: 'run', source: '.' } : { kind: 'folders' });
    } else if (char === '*') pieces.push({ kind: 'run', source: '[^/]' });
    else if (char === '?') one('[^/]');
    else if (char === '[') {
      const { source, end } = characterClass(text, at, line);
      one(source);
      at = end;
    } else {
      const literal = String.fromCodePoint(text.codePointAt(char === '\\' ? ++at : at) ?? 0x5c);
      at += literal.length - 1;
      one(quoted(literal));
    }
  }
  return pieces;
}

/** `[a-z]`, `[^x]`; a slash is never in it. */
function characterClass(text: string, start: number, line: string): { readonly source: string; readonly end: number } {
  const found = /^\[(\^?)((?:\\.|[^\]\\])+)\]/su.exec(text.slice(start));
  if (found === null) throw invalid(`illegal pattern ${JSON.stringify(line)}: [ without its ]; write \\[ for the character itself`);
  const [whole, not = '', members = ''] = found;
  const safe = members.replace(/\\(.)/gsu, (_, char: string) => quotedInClass(char)).replace(/(?<!\\)[[&]/gu, '\\$&');
  return { source: `(?!/)[${not}${safe}]`, end: start + whole.length - 1 };
}

function quoted(char: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char;
}

function quotedInClass(char: string): string {
  return /[\\\]^[-]/.test(char) ? `\\${char}` : quoted(char);
}
