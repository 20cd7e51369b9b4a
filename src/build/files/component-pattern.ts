/**
 * Wildcards of COPY and ADD, as Go's filepath.Match reads them, for one name: `*` any characters, `?` one, `[a-z]`, `[^x]`, `\c` the character itself. A leading dot is a character like
 * any other.
 */
import { type WildcardPiece, wildcardMatcher } from '../../archive/wildcard-matcher.ts';
import { invalid } from '../../base/errors.ts';

/** A `\` hides what follows it. */
export function hasWildcards(pattern: string): boolean {
  return /(?:^|[^\\])(?:\\\\)*[*?[]/u.test(pattern);
}

export function componentMatcher(pattern: string): (name: string) => boolean {
  const pieces: WildcardPiece[] = [];
  const one = (source: string) => pieces.push({ kind: 'one', source });
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '*') pieces.push({ kind: 'run', source: '.' });
    else if (char === '?') one('.');
    else if (char === '[') {
      const { source, end } = characterClass(pattern, at);
      one(source);
      at = end;
    } else {
      if (char === '\\' && ++at === pattern.length) throw malformed(pattern);
      const literal = String.fromCodePoint(pattern.codePointAt(at) ?? 0);
      at += literal.length - 1;
      one(quoted(literal));
    }
  }
  return wildcardMatcher(pieces);
}

function characterClass(pattern: string, start: number): { readonly source: string; readonly end: number } {
  const found = /^\[(\^?)((?:\\.|[^\]\\])+)\]/su.exec(pattern.slice(start));
  if (found === null || (found[1] === '' && found[2]?.startsWith('^') === true)) throw malformed(pattern);
  const [whole, not = '', members = ''] = found;
  const ranges: string[] = [];
  for (let rest = members; rest !== ''; ) {
    const [range = '', from = '', to = from] = /^(\\.|[^\\-])(?:-(\\.|[^\\-]))?/su.exec(rest) ?? [];
    if (range === '') throw malformed(pattern);
    const [low, high] = [from.replace(/^\\/u, ''), to.replace(/^\\/u, '')];
    // Backwards, it matches nothing.
    if ((low.codePointAt(0) ?? 0) <= (high.codePointAt(0) ?? 0)) ranges.push(`${quoted(low)}-${quoted(high)}`);
    rest = rest.slice(range.length);
  }
  const source = ranges.length === 0 ? (not === '' ? '(?!)' : '.') : `[${not}${ranges.join('')}]`;
  return { source, end: start + whole.length - 1 };
}

function quoted(char: string): string {
  return /[\\^$.*+?()[\]{}|/\-&]/.test(char) ? `\\u{${char.charCodeAt(0).toString(16)}}` : char;
}

function malformed(pattern: string): Error {
  return invalid(`syntax error in pattern ${JSON.stringify(pattern)}: a [ needs its ], a \\ what follows it`);
}
