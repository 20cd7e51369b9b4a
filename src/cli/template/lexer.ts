/** Template text → tokens. Text outside of `{{ }}` is one token; trim markers (`{{- `, ` -}}`) and comments are dealt with here. */

export type TokenKind = 'text' | 'open' | 'close' | 'field' | 'variable' | 'word' | 'string' | 'number' | 'char' | 'punctuation' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** Strings: unescaped. Fields: without the dot. */
  readonly text: string;
  readonly offset: number;
  /** White space stands before it, which ends an operand: `.A.B` is one, `.A .B` are two. */
  readonly spaced: boolean;
}

export class TemplateSyntaxError extends Error {
  override readonly name = 'TemplateSyntaxError';
}

export function syntaxError(source: string, offset: number, message: string): TemplateSyntaxError {
  return new TemplateSyntaxError(`template: :${source.slice(0, offset).split('\n').length}: ${message}`);
}

const SPACE = /[ \t\r\n]/;

export function tokenize(source: string): Token[] {
  return new Lexer(source).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) {
      const open = this.#source.indexOf('{{', this.#at);
      const end = open === -1 ? this.#source.length : open;
      const trims = open !== -1 && this.#source[open + 2] === '-' && SPACE.test(this.#source[open + 3] ?? '');
      this.#text(this.#at, end, trims);
      if (open === -1) break;
      this.#at = open + (trims ? 3 : 2);
      if (!this.#comment(open)) this.#action(open);
    }
    this.#push('end', '', this.#source.length, false);
    return this.#tokens;
  }

  #text(from: number, to: number, trimEnd: boolean): void {
    const text = this.#source.slice(from, to);
    const kept = trimEnd ? text.replace(/[ \t\r\n]+$/, '') : text;
    if (kept !== '') this.#push('text', kept, from, false);
    this.#at = to;
  }

  /** `{{/* … *​/}}`, nothing else in the action. */
  #comment(open: number): boolean {
    let start = this.#at;
    while (SPACE.test(this.#source[start] ?? '')) start += 1;
    if (!this.#source.startsWith('/*', start)) return false;
    const end = this.#source.indexOf('*/', start + 2);
    if (end === -1) throw syntaxError(this.#source, open, 'unclosed comment');
    this.#at = end + 2;
    const close = this.#closing();
    if (close === null) throw syntaxError(this.#source, open, 'comment ends before closing delimiter');
    this.#leave(close);
    return true;
  }

  #action(open: number): void {
    this.#push('open', '{{', open, false);
    for (;;) {
      const close = this.#closing();
      if (close !== null) {
        this.#push('close', '}}', this.#at, false);
        this.#leave(close);
        return;
      }
      const before = this.#at;
      while (SPACE.test(this.#source[this.#at] ?? '')) this.#at += 1;
      if (this.#at >= this.#source.length) throw syntaxError(this.#source, open, 'unclosed action');
      if (this.#closing() === null) this.#token(this.#at > before);
    }
  }

  /** How long a closing delimiter is here, with its trim marker; null when there is none. */
  #closing(): { readonly length: number; readonly trims: boolean } | null {
    const trim = /^[ \t\r\n]+-}}/.exec(this.#source.slice(this.#at, this.#at + 64));
    if (trim !== null) return { length: trim[0].length, trims: true };
    return this.#source.startsWith('}}', this.#at) ? { length: 2, trims: false } : null;
  }

  #leave(close: { readonly length: number; readonly trims: boolean }): void {
    this.#at += close.length;
    if (close.trims) while (SPACE.test(this.#source[this.#at] ?? '')) this.#at += 1;
  }

  #token(spaced: boolean): void {
    const rest = this.#source.slice(this.#at);
    const start = this.#at;
    const match = (pattern: RegExp): string | null => pattern.exec(rest)?.[0] ?? null;
    const number = match(/^[+-]?(?:0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)/);
    if (number !== null) {
      this.#at += number.length;
      if (/^[\w]/.test(this.#source.slice(this.#at)))
        throw syntaxError(this.#source, start, `bad number syntax: "${number}${this.#source.charAt(this.#at)}"`);
      this.#push('number', number.replaceAll('_', ''), start, spaced);
      return;
    }
    const word = this.#word(rest);
    if (word !== null) {
      this.#at += word.length;
      this.#checkTerminator();
      if (word.startsWith('.')) this.#push('field', word.slice(1), start, spaced);
      else this.#push(word.startsWith('$') ? 'variable' : 'word', word, start, spaced);
      return;
    }
    this.#quotedOrPunctuation(rest, start, spaced);
  }

  /** A field, variable or name. The classes of Unicode are slow to compile: they are asked only where ASCII ends. */
  #word(rest: string): string | null {
    const ascii = /^(?:[.]?[A-Za-z_]\w*|\$\w*)/.exec(rest)?.[0] ?? null;
    const next = rest.charCodeAt(ascii?.length ?? (rest.startsWith('.') ? 1 : 0));
    if (!(next > 127)) return ascii;
    return /^(?:[.]?[\p{L}_][\p{L}\p{N}_]*|\$[\p{L}\p{N}_]*)/u.exec(rest)?.[0] ?? null;
  }

  /** A name ends at white space or at a character that can follow one. */
  #checkTerminator(): void {
    const next = [...this.#source.slice(this.#at, this.#at + 2)][0] ?? ' ';
    if (SPACE.test(next) || '.,|:)(='.includes(next) || this.#source.startsWith('}}', this.#at)) return;
    throw syntaxError(
      this.#source,
      this.#at,
      `bad character U+${(next.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')} '${next}'`,
    );
  }

  #quotedOrPunctuation(rest: string, start: number, spaced: boolean): void {
    if (rest.startsWith('"') || rest.startsWith("'")) {
      const quote = rest.charAt(0);
      const quoted = (quote === '"' ? /^"(?:[^"\\\n]|\\.)*"/ : /^'(?:[^'\\\n]|\\.)+'/).exec(rest)?.[0];
      if (quoted === undefined)
        throw syntaxError(this.#source, start, quote === '"' ? 'unterminated quoted string' : 'unterminated character constant');
      this.#at += quoted.length;
      this.#push(quote === '"' ? 'string' : 'char', unescapeText(quoted.slice(1, -1), this.#source, start), start, spaced);
    } else if (rest.startsWith('`')) {
      const end = rest.indexOf('`', 1);
      if (end === -1) throw syntaxError(this.#source, start, 'unterminated raw quoted string');
      this.#at += end + 1;
      this.#push('string', rest.slice(1, end), start, spaced);
    } else {
      const punctuation = /^(?::=|[().,|=])/.exec(rest)?.[0];
      if (punctuation === undefined) throw syntaxError(this.#source, start, `unexpected ${JSON.stringify([...rest][0])} in operand`);
      this.#at += punctuation.length;
      this.#push('punctuation', punctuation, start, spaced);
    }
  }

  #push(kind: TokenKind, text: string, offset: number, spaced: boolean): void {
    this.#tokens.push({ kind, text, offset, spaced });
  }
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
};

/** Escapes of Go's string literals. */
function unescapeText(text: string, source: string, offset: number): string {
  return text.replace(/\\(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{3}|.)/gs, (_, code: string) => {
    const simple = SIMPLE_ESCAPES[code];
    if (simple !== undefined) return simple;
    if (/^[xuU]./.test(code)) return codePoint(Number.parseInt(code.slice(1), 16), source, offset);
    if (/^[0-7]{3}$/.test(code)) return codePoint(Number.parseInt(code, 8), source, offset);
    throw syntaxError(source, offset, `invalid syntax: "\\${code}"`);
  });
}

function codePoint(code: number, source: string, offset: number): string {
  if (code > 0x10ffff) throw syntaxError(source, offset, 'invalid syntax: code point out of range');
  return String.fromCodePoint(code);
}
