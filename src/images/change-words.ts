/**
 * The text rules of Dockerfile instructions as far as `import --change` and `commit --change` need them: words, quotes, variables, JSON lists.
 *
 * Quotes survive splitting and go at expansion: `'…'` is literal; in `"…"` a backslash escapes `"`, `$` and itself; elsewhere it escapes anything.
 */
import { invalid } from '../base/errors.ts';

export type Variables = ReadonlyMap<string, string>;

/** Words of ENV and LABEL: blanks inside quotes or behind a backslash do not split. */
export function splitQuotedWords(text: string): readonly string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '\\' && quote !== "'" && at + 1 < text.length) {
      word += char + text.charAt(++at);
    } else if (quote === '' && /\s/.test(char)) {
      if (word) words.push(word);
      word = '';
    } else {
      if (quote === char) quote = '';
      else if (quote === '' && (char === '"' || char === "'")) quote = char;
      word += char;
    }
  }
  if (word) words.push(word);
  return words;
}

/** The text without its quotes, variables replaced. */
export function expand(text: string, variables: Variables): string {
  return new Expansion(text, variables).words(false)[0] ?? '';
}

/** Like `expand`, but unquoted blanks, also those of values, split. */
export function expandWords(text: string, variables: Variables): readonly string[] {
  return new Expansion(text, variables).words(true);
}

/** Null when the text is no JSON list: then it means the shell form. */
export function parseJsonWords(text: string): readonly string[] | null {
  if (!text.startsWith('[')) return null;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(list)) return null;
  if (!list.every((word) => typeof word === 'string'))
    throw invalid('when using JSON array syntax, arrays must be comprised of strings only');
  return list;
}

class Expansion {
  readonly #text: string;
  readonly #variables: Variables;
  #at = 0;

  constructor(text: string, variables: Variables) {
    this.#text = text;
    this.#variables = variables;
  }

  words(split: boolean): readonly string[] {
    const words: string[] = [];
    let word: string | null = null;
    const add = (part: string) => {
      word = (word ?? '') + part;
    };
    const end = () => {
      if (word !== null) words.push(word);
      word = null;
    };
    while (this.#at < this.#text.length) {
      const char = this.#take();
      if (char === "'") add(this.#single());
      else if (char === '"') add(this.#double());
      else if (char === '\\') add(this.#take());
      else if (split && /\s/.test(char)) end();
      else if (char !== '$') add(char);
      else if (split) {
        const [first = '', ...rest] = this.#variable().split(/\s+/);
        if (first) add(first);
        for (const next of rest) {
          end();
          if (next) add(next);
        }
      } else add(this.#variable());
    }
    end();
    return words;
  }

  #take(): string {
    return this.#text.charAt(this.#at++);
  }

  #single(): string {
    const end = this.#text.indexOf("'", this.#at);
    if (end === -1) throw invalid('unexpected end of statement while looking for matching single-quote');
    const literal = this.#text.slice(this.#at, end);
    this.#at = end + 1;
    return literal;
  }

  #double(): string {
    let value = '';
    while (this.#at < this.#text.length) {
      const char = this.#take();
      if (char === '"') return value;
      if (char === '$') value += this.#variable();
      else if (char === '\\' && /["$\\]/.test(this.#text.charAt(this.#at))) value += this.#take();
      else value += char;
    }
    throw invalid('unexpected end of statement while looking for matching double-quote');
  }

  /** Behind the `$`. */
  #variable(): string {
    if (this.#text.charAt(this.#at) === '{') return this.#braced();
    const rest = this.#text.slice(this.#at);
    const name = /^(?:\d+|[\p{L}_][\p{L}\p{N}_]*|[@*#?\-$!])/u.exec(rest)?.[0];
    if (name === undefined) return '$';
    this.#at += name.length;
    return this.#variables.get(name) ?? '';
  }

  #braced(): string {
    const end = this.#closingBrace();
    const inside = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    const [, name, operator, word = ''] = /^(\d+|[\p{L}_][\p{L}\p{N}_]*)(:?[-+?]|)([\s\S]*)$/u.exec(inside) ?? [];
    if (name === undefined || (operator === '' && word !== '')) {
      throw invalid(`\${${inside}} is not supported here: use \${NAME}, \${NAME:-word}, \${NAME:+word} or \${NAME:?message}`);
    }
    const value = this.#variables.get(name);
    const there = operator?.startsWith(':') ? Boolean(value) : value !== undefined;
    if (operator?.endsWith('-')) return there ? (value ?? '') : expand(word, this.#variables);
    if (operator?.endsWith('+')) return there ? expand(word, this.#variables) : '';
    if (operator?.endsWith('?') && !there) throw invalid(`${name}: ${expand(word, this.#variables) || 'is not allowed to be unset'}`);
    return value ?? '';
  }

  #closingBrace(): number {
    let depth = 0;
    for (let at = this.#at; at < this.#text.length; at++) {
      const char = this.#text.charAt(at);
      if (char === '\\') at++;
      else if (char === '{') depth++;
      else if (char === '}' && --depth === 0) return at;
    }
    throw invalid('syntax error: missing closing brace of a variable');
  }
}
