/**
 * `WWW-Authenticate` (RFC 9110, section 11.6.1): a list of challenges, each a scheme and either parameters or one token68.
 *
 *     Bearer realm="https://auth.example/token",service="registry",scope="repository:a:pull,push", Basic realm="x"
 *
 * The comma separates parameters and challenges alike: a word that is not followed by `=` starts the next challenge. What cannot be read is skipped, never guessed:
 * a registry that can't be understood is one that gets no credentials. Linear in the length of the header, which Node bounds.
 */
export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** Names in lower case; the first of several wins. */
  readonly parameters: ReadonlyMap<string, string>;
}

const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const space = /[ \t]*/y;
const token68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;

export function parseChallenges(header: string): readonly Challenge[] {
  const found: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    const text = pattern.exec(header)?.[0] ?? null;
    at += text?.length ?? 0;
    return text;
  };
  while (at < header.length) {
    take(space);
    const word = take(token);
    if (word === null) {
      at++;
      continue;
    }
    const before = at;
    take(space);
    const current = found.at(-1);
    if (header[at] === '=' && current) {
      at++;
      take(space);
      const value = header[at] === '"' ? quotedString(header, at) : { text: take(token) ?? '', end: at };
      at = value.end;
      const name = word.toLowerCase();
      if (!current.parameters.has(name)) current.parameters.set(name, value.text);
      continue;
    }
    at = before;
    found.push({ scheme: word.toLowerCase(), parameters: new Map() });
    // `Negotiate YWJj==`: no parameter, and nothing that anyone here understands.
    take(space);
    take(token68);
  }
  return found;
}

/** Text between the quotes with `\x` read as `x`; an open end is taken as the end of the header. */
function quotedString(header: string, start: number): { text: string; end: number } {
  let text = '';
  let at = start + 1;
  while (at < header.length && header[at] !== '"') {
    if (header[at] === '\\') at++;
    text += header[at] ?? '';
    at++;
  }
  return { text, end: at + 1 };
}
