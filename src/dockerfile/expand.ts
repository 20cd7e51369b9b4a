/**
 * Words of a Dockerfile, as its shell-like lexer sees them: quotes and escapes go, variables are replaced.
 *
 *     'literal'   "escape works for " $ and itself"   \x → x   $name  ${name}
 *     ${v-w} ${v+w} ${v?m}  with `:` also for empty values     ${v#p} ${v##p} ${v%p} ${v%%p}  ${v/p/r} ${v//p/r}
 *
 * `word`, pattern and replacement are expanded themselves. Patterns know `*`, `?` and escapes, no classes. The parameters of a shell (`$@`, `$1`, …) are always empty.
 */
import { InstructionProblem } from './dockerfile-error.ts';
import { escapedForPattern, type Pattern, parsePattern, withoutEnd, withoutStart, withReplaced } from './expand-pattern.ts';

export interface Variables {
  get(name: string): string | undefined;
}

export interface ExpandOptions {
  readonly variables: Variables;
  /** The escape character of the file. */
  readonly escape?: string;
  /** Told of every variable that is used plainly and not set. */
  readonly onUnset?: (name: string) => void;
}

/** One word, whatever blanks it gets. */
export function expand(text: string, options: ExpandOptions): string {
  return new Expansion(text, options, false).run();
}

/** Unquoted blanks split, also those of values. */
export function expandWords(text: string, options: ExpandOptions): readonly string[] {
  const expansion = new Expansion(text, options, true);
  expansion.run();
  return expansion.words();
}

/** A heredoc body of COPY and ADD: quotes stay, the escape character is always `\`, and before a line feed both stay. */
export function expandHeredoc(text: string, options: ExpandOptions): string {
  return new Expansion(text, { ...options, escape: '\\' }, false, true).run();
}

/** What real files stay far below; without them a line of a kilobyte could ask for terabytes, hours, or a deeper stack than there is. */
const limits = { characters: 1024 * 1024, heredocCharacters: 16 * 1024 * 1024, depth: 100, patternWork: 4 * 1024 * 1024 } as const;

/** Always empty, unless they are arguments of a positional kind, which are empty too. */
const specialParameters = '@*#?-$!';

class Expansion {
  readonly #text: string;
  readonly #options: ExpandOptions;
  readonly #escape: string;
  readonly #splits: boolean;
  readonly #keepsQuotes: boolean;
  readonly #words: string[] = [];
  #word: string | null = null;
  #at = 0;
  #depth = 0;
  #patternWork = 0;

  constructor(text: string, options: ExpandOptions, splits: boolean, keepsQuotes = false) {
    this.#text = text;
    this.#options = options;
    this.#escape = options.escape ?? '\\';
    this.#splits = splits;
    this.#keepsQuotes = keepsQuotes;
  }

  run(): string {
    return this.#until(null, false);
  }

  words(): readonly string[] {
    this.#endWord();
    return this.#words;
  }

  /** Up to `stop`, which is taken. `raw`: escapes stay, for patterns. Only the outermost level makes words. */
  #until(stop: string | null, raw: boolean): string {
    let result = '';
    const add = (part: string, quoted: boolean) => {
      result += part;
      this.#requireRoom(result);
      if (stop === null) this.#toWord(part, quoted);
    };
    while (this.#at < this.#text.length) {
      const char = this.#text.charAt(this.#at);
      if (char === stop) {
        this.#at++;
        return result;
      }
      if (char === "'" && !this.#keepsQuotes) add(this.#single(raw), true);
      else if (char === '"' && !this.#keepsQuotes) add(this.#double(raw), true);
      else if (char === '$') add(this.#dollar(), false);
      else if (char === this.#escape) add(this.#escaped(raw), true);
      else {
        this.#at++;
        add(char, false);
      }
    }
    if (stop !== null) throw this.#problem(`syntax error: missing '${stop}' in substitution`);
    return result;
  }

  /** A trailing escape goes. */
  #escaped(raw: boolean): string {
    this.#at++;
    if (this.#at >= this.#text.length) return '';
    const char = this.#text.charAt(this.#at++);
    if (this.#keepsQuotes && char === '\n') return `\\\n`;
    return raw ? this.#escape + char : char;
  }

  #single(raw: boolean): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end === -1) throw this.#problem('unexpected end of statement while looking for matching single-quote');
    const literal = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return raw ? escapedForPattern(literal) : literal;
  }

  #double(raw: boolean): string {
    const start = this.#at++;
    let value = '';
    while (this.#at < this.#text.length) {
      this.#requireRoom(value);
      const char = this.#text.charAt(this.#at);
      const next = this.#text.charAt(this.#at + 1);
      if (char === '"') {
        this.#at++;
        return value;
      }
      if (char === '$') value += raw ? escapedForPattern(this.#dollar()) : this.#dollar();
      else if (char === this.#escape && (next === '"' || next === '$' || next === this.#escape)) {
        value += raw ? escapedForPattern(next) : next;
        this.#at += 2;
      } else {
        value += raw ? escapedForPattern(char) : char;
        this.#at++;
      }
    }
    throw new InstructionProblem('unexpected end of statement while looking for matching double-quote', { offset: start, length: 1 });
  }

  #dollar(): string {
    this.#at++;
    if (this.#text.charAt(this.#at) === '{') return this.#nested();
    const name = this.#name();
    return name === '' ? '$' : this.#plain(name);
  }

  #plain(name: string): string {
    const value = this.#value(name);
    if (value === undefined && !isParameter(name)) this.#options.onUnset?.(name);
    return value ?? '';
  }

  #value(name: string): string | undefined {
    return isParameter(name) ? undefined : this.#options.variables.get(name);
  }

  #name(): string {
    const name = /^(?:\d+|[\p{L}_][\p{L}\p{N}_]*)/u.exec(this.#text.slice(this.#at))?.[0] ?? this.#special();
    this.#at += name.length;
    return name;
  }

  #special(): string {
    const char = this.#text.charAt(this.#at);
    return char !== '' && specialParameters.includes(char) ? char : '';
  }

  #nested(): string {
    if (++this.#depth > limits.depth) throw this.#problem(`substitutions are nested more than ${limits.depth} deep, the limit`);
    const value = this.#braced();
    this.#depth--;
    return value;
  }

  #braced(): string {
    const start = this.#at - 1;
    this.#at++;
    const name = this.#name();
    if (name === '') throw new InstructionProblem('syntax error: bad substitution', { offset: start, length: this.#at - start + 1 });
    const operator = this.#text.charAt(this.#at++);
    if (operator === '')
      throw new InstructionProblem("syntax error: missing '}' in substitution", { offset: start, length: this.#at - start - 1 });
    switch (operator) {
      case '}':
        return this.#plain(name);
      case ':':
        return this.#conditional(name, this.#text.charAt(this.#at++), true);
      case '+':
      case '-':
      case '?':
        return this.#conditional(name, operator, false);
      case '#':
      case '%':
        return this.#stripped(name, operator);
      case '/':
        return this.#replaced(name);
      default:
        throw this.#unsupported(operator);
    }
  }

  #conditional(name: string, operator: string, emptyCounts: boolean): string {
    const modifier = emptyCounts ? `:${operator}` : operator;
    if (operator === '' || !'+-?'.includes(operator)) throw this.#unsupported(modifier);
    const word = this.#until('}', false);
    const value = this.#value(name);
    const there = value !== undefined && !(emptyCounts && value === '');
    if (operator === '+') return there ? word : '';
    if (operator === '-') return there ? value : word;
    if (there) return value;
    throw this.#problem(`${name}: ${word || `is not allowed to be ${emptyCounts ? 'empty' : 'unset'}`}`);
  }

  #stripped(name: string, operator: '#' | '%'): string {
    const greedy = this.#text.charAt(this.#at) === operator;
    if (greedy) this.#at++;
    const pattern = this.#until('}', true);
    const value = this.#plain(name);
    return (operator === '#' ? withoutStart : withoutEnd)(value, this.#pattern(pattern, value), greedy);
  }

  #replaced(name: string): string {
    const all = this.#text.charAt(this.#at) === '/';
    if (all) this.#at++;
    const pattern = this.#until('/', true);
    const replacement = this.#until('}', false);
    const value = this.#plain(name);
    if (replacement.length * value.length > 64 * limits.characters) throw this.#tooMuch();
    return withReplaced(value, this.#pattern(pattern, value), replacement, all);
  }

  #pattern(text: string, value: string): Pattern {
    this.#patternWork += (text.length + 1) * value.length;
    if (this.#patternWork > limits.patternWork) throw this.#tooMuch();
    const pattern = parsePattern(text);
    if (pattern === null) throw this.#problem(`invalid pattern (${text}) in substitution: \\ escapes * ? \\ } and / only`);
    return pattern;
  }

  #requireRoom({ length }: string): void {
    const limit = this.#keepsQuotes ? limits.heredocCharacters : limits.characters;
    if (length > limit) throw this.#problem(`expands to more than ${limit} characters, the limit`);
  }

  #tooMuch(): InstructionProblem {
    return this.#problem('the value or the pattern is too long for a substitution by patterns');
  }

  #toWord(part: string, quoted: boolean): void {
    if (!this.#splits) return;
    if (quoted) {
      this.#word = (this.#word ?? '') + part;
      return;
    }
    for (const char of part) {
      if (/\s/.test(char)) this.#endWord();
      else this.#word = (this.#word ?? '') + char;
    }
  }

  #endWord(): void {
    if (this.#word !== null) this.#words.push(this.#word);
    this.#word = null;
  }

  #unsupported(modifier: string): InstructionProblem {
    return this.#problem(`unsupported modifier (${modifier}) in substitution`);
  }

  #problem(message: string): InstructionProblem {
    return new InstructionProblem(message, { offset: Math.max(0, Math.min(this.#at, this.#text.length) - 1), length: 1 });
  }
}

function isParameter(name: string): boolean {
  return /^\d/.test(name) || specialParameters.includes(name);
}
