/**
 * Wildcards of COPY and ADD, as Go's filepath.Match reads them, for one name: `*` any characters, `?` one, `[a-z]`, `[^x]`, `\c` the character itself. A leading dot is a character like
 * any other.
 */
import { invalid } from '../../base/errors.ts';

/** A `\` hides what follows it. */
export function hasWildcards(pattern: string): boolean {
  return /(?:^|[^\\])(?:\\\\)*[*?[]/u.test(pattern);
}

export function componentMatcher(pattern: string): (name: string) => boolean {
  let body = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '*') body += '.*';
    else if (char === '?') body += '.';
    else if (char === '[') {
      const { source, end } = characterClass(pattern, at);
      body += source;
      at = end;
    } else if (char === '\\') {
      if (++at === pattern.length) throw malformed(pattern);
      body += quoted(pattern.charAt(at));
    } else body += quoted(char);
  }
  const expression = new RegExp(`^${body}$`, 'su');
  return (name) => expression.test(name);
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
