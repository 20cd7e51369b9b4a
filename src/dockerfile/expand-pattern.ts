/** Patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*` any run, `?` one character, `\` before `*`, `?`, `\`, `}` and `/` makes them themselves. No classes. */
export type PatternAnchor = 'start' | 'end' | 'anywhere';

/** What it matches, but for the group `keep`, is to go. Null: an escape of something that needs none. */
export function patternExpression(pattern: string, greedy: boolean, anchor: PatternAnchor): RegExp | null {
  let body = '';
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '*') body += greedy ? '.*' : '.*?';
    else if (char === '?') body += '.';
    else if (char !== '\\') body += literal(char);
    else {
      const escaped = pattern.charAt(++at);
      if (escaped === '' || !'*?\\}/'.includes(escaped)) return null;
      body += literal(escaped);
    }
  }
  switch (anchor) {
    case 'start':
      return new RegExp(`^${body}(?<keep>)`, 'su');
    // A search finds the leftmost match, the longest suffix: what is in front is taken as greedily as the pattern is not.
    case 'end':
      return new RegExp(`^(?<keep>${greedy ? '.*?' : '.*'})${body}$`, 'su');
    case 'anywhere':
      return new RegExp(body, 'su');
  }
}

/** Quoted text inside a pattern. */
export function escapedForPattern(text: string): string {
  return text.replace(/[*?\\}/]/g, '\\$&');
}

function literal(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
