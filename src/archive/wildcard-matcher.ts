/**
 * A pattern with wildcards against a name, in time that any pattern keeps: an expression that goes back takes years for `*a*a*a*a*a*b` and a long name, and nothing ends it.
 *
 * With up to two wildcards an expression is fast in any case; with more, all ways to match are followed side by side, a character at a time.
 */

export type WildcardPiece =
  /** One character, or any number of them; `source`: of an expression that matches one. */
  | { readonly kind: 'one' | 'run'; readonly source: string }
  /** Nothing, or anything that ends in a slash. */
  | { readonly kind: 'folders' };

const quickWildcards = 2;

export function wildcardMatcher(pieces: readonly WildcardPiece[]): (name: string) => boolean {
  if (pieces.filter(({ kind }) => kind !== 'one').length <= quickWildcards) {
    const expression = new RegExp(`^${pieces.map(sourceOf).join('')}$`, 'su');
    return (name) => expression.test(name);
  }
  const steps = pieces.map((piece) => ({ kind: piece.kind, accepts: piece.kind === 'folders' ? () => true : oneOf(piece.source) }));
  return (name) => matches(steps, name);
}

interface Step {
  readonly kind: WildcardPiece['kind'];
  readonly accepts: (char: string) => boolean;
}

function matches(steps: readonly Step[], name: string): boolean {
  let here = reached(steps, new Set([0]), new Set());
  for (const char of name) {
    const [next, inside] = [new Set<number>(), new Set<number>()];
    for (const at of here.inside) enterFolders(at, char, next, inside);
    for (const at of here.at) {
      const step = steps[at];
      if (step?.kind === 'folders') enterFolders(at, char, next, inside);
      else if (step?.accepts(char)) next.add(step.kind === 'run' ? at : at + 1);
    }
    if (next.size === 0 && inside.size === 0) return false;
    here = reached(steps, next, inside);
  }
  return here.at.has(steps.length);
}

function enterFolders(at: number, char: string, next: Set<number>, inside: Set<number>): void {
  inside.add(at);
  if (char === '/') next.add(at + 1);
}

/** With what comes behind wildcards that take nothing. */
function reached(steps: readonly Step[], at: Set<number>, inside: ReadonlySet<number>) {
  for (const index of at) {
    const kind = steps[index]?.kind;
    // A set goes on to what is added while it is gone through.
    if (kind === 'run' || kind === 'folders') at.add(index + 1);
  }
  return { at, inside };
}

function oneOf(source: string): (char: string) => boolean {
  const expression = new RegExp(`^${source}$`, 'su');
  return (char) => expression.test(char);
}

function sourceOf(piece: WildcardPiece): string {
  if (piece.kind === 'folders') return '(?:.*/)?';
  return piece.kind === 'run' ? `${piece.source}*` : piece.source;
}
