/**
 * Patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*` any run, `?` one character, `\` before `*`, `?`, `\`, `}` and `/` makes them themselves. No classes.
 *
 * Matched without going back: the parts between the stars are looked for one after the other, so that no pattern takes longer than its length times the value's.
 */

/** One character; null: any. */
type Glyph = string | null;
/** What stands between the stars. */
export type Pattern = readonly (readonly Glyph[])[];

/** Null: an escape of something that needs none. */
export function parsePattern(text: string): Pattern | null {
  const parts: Glyph[][] = [[]];
  const glyphs = [...text];
  for (let at = 0; at < glyphs.length; at++) {
    const glyph = glyphs[at] ?? '';
    if (glyph === '*') parts.push([]);
    else if (glyph === '?') parts.at(-1)?.push(null);
    else if (glyph !== '\\') parts.at(-1)?.push(glyph);
    else {
      const escaped = glyphs[++at] ?? '';
      if (escaped === '' || !'*?\\}/'.includes(escaped)) return null;
      parts.at(-1)?.push(escaped);
    }
  }
  return parts;
}

/** Of the value without the longest or the shortest start that matches. */
export function withoutStart(value: string, pattern: Pattern, longest: boolean): string {
  const glyphs = [...value];
  return glyphs.slice(Math.max(0, matchEnd(glyphs, pattern, 0, longest))).join('');
}

export function withoutEnd(value: string, pattern: Pattern, longest: boolean): string {
  const glyphs = [...value].reverse();
  const mirrored = pattern.map((part) => part.toReversed()).toReversed();
  return glyphs
    .slice(Math.max(0, matchEnd(glyphs, mirrored, 0, longest)))
    .reverse()
    .join('');
}

/** The leftmost match, as long as it can be; `all`: also those behind it. */
export function withReplaced(value: string, pattern: Pattern, replacement: string, all: boolean): string {
  const glyphs = [...value];
  let result = '';
  let [copied, from, lastEnd] = [0, 0, -1];
  while (from <= glyphs.length) {
    const start = find(glyphs, pattern[0] ?? [], from);
    const end = start === -1 ? -1 : matchEnd(glyphs, pattern, start, true);
    if (end === -1) break;
    // Nothing, directly behind a match, is no match.
    const isMatch = end > start || start !== lastEnd;
    result += glyphs.slice(copied, start).join('') + (isMatch ? replacement : '');
    copied = end;
    lastEnd = end;
    from = end > start ? end : end + 1;
    if (!all) break;
  }
  return result + glyphs.slice(copied).join('');
}

/** Quoted text inside a pattern. */
export function escapedForPattern(text: string): string {
  return text.replace(/[*?\\}/]/g, '\\$&');
}

/** Of a match that starts there; -1: there is none. */
function matchEnd(value: readonly string[], [first = [], ...others]: Pattern, start: number, longest: boolean): number {
  if (!matchesAt(value, first, start)) return -1;
  let at = start + first.length;
  for (const [index, part] of others.entries()) {
    const found = longest && index === others.length - 1 ? findLast(value, part, at) : find(value, part, at);
    if (found === -1) return -1;
    at = found + part.length;
  }
  return at;
}

function find(value: readonly string[], part: readonly Glyph[], from: number): number {
  for (let at = from; at + part.length <= value.length; at++) if (matchesAt(value, part, at)) return at;
  return -1;
}

function findLast(value: readonly string[], part: readonly Glyph[], from: number): number {
  for (let at = value.length - part.length; at >= from; at--) if (matchesAt(value, part, at)) return at;
  return -1;
}

function matchesAt(value: readonly string[], part: readonly Glyph[], at: number): boolean {
  return at + part.length <= value.length && part.every((glyph, index) => glyph === null || glyph === value[at + index]);
}
