/**
 * Flags of instructions: words that start with `--`, right behind the instruction's name. Quotes and the escape character work inside; a lone `--` ends them, as does the
 * first other word.
 */
import { nearest } from '../base/near-miss.ts';
import { InstructionProblem } from './dockerfile-error.ts';
import { isBlank, quotedChars } from './quoting.ts';
import { type Rest, spot, type Word } from './words.ts';

/** `list` may be repeated; `switch` may stand alone. */
export type FlagKind = 'text' | 'switch' | 'list';

export type FlagTable = Readonly<Record<string, FlagKind>>;

export class Flags {
  readonly #values: ReadonlyMap<string, readonly Word[]>;

  constructor(values: ReadonlyMap<string, readonly Word[]>) {
    this.#values = values;
  }

  text(name: string): string | null {
    return this.word(name)?.text ?? null;
  }

  /** With its place. */
  word(name: string): Word | null {
    return this.#values.get(name)?.at(-1) ?? null;
  }

  /** Null: not said. */
  switch(name: string): boolean | null {
    const word = this.word(name);
    return word === null ? null : word.text === 'true';
  }

  list(name: string): readonly Word[] {
    return this.#values.get(name) ?? [];
  }
}

export function takeFlags(rest: Rest, table: FlagTable, escapeToken: string): { readonly flags: Flags; readonly rest: Rest } {
  const values = new Map<string, Word[]>();
  let at = skipBlanks(rest.text, 0);
  while (rest.text.startsWith('--', at)) {
    const end = endOfWord(rest.text, at, escapeToken);
    const word = { text: unquoted(rest.text.slice(at, end), escapeToken), offset: rest.offset + at };
    at = skipBlanks(rest.text, end);
    if (word.text === '--') break;
    addFlag(values, word, table);
  }
  return { flags: new Flags(values), rest: { text: rest.text.slice(at), offset: rest.offset + at } };
}

function addFlag(values: Map<string, Word[]>, word: Word, table: FlagTable): void {
  const equals = word.text.indexOf('=');
  const name = word.text.slice(2, equals === -1 ? undefined : equals);
  const kind = Object.hasOwn(table, name) ? table[name] : undefined;
  if (kind === undefined) throw unknownFlag(name, word, Object.keys(table));
  const before = values.get(name) ?? [];
  if (kind !== 'list' && before.length > 0) throw new InstructionProblem(`duplicate flag specified: --${name}`, spot(word));
  values.set(name, [...before, flagValue(name, kind, word, equals)]);
}

function flagValue(name: string, kind: FlagKind, word: Word, equals: number): Word {
  const value = equals === -1 ? null : word.text.slice(equals + 1);
  if (kind !== 'switch') {
    if (value === null) throw new InstructionProblem(`missing a value on flag: --${name}`, spot(word), `write --${name}=VALUE`);
    return { text: value, offset: word.offset + equals + 1 };
  }
  const said = (value ?? 'true').toLowerCase();
  if (said !== 'true' && said !== 'false')
    throw new InstructionProblem(`expecting boolean value for flag --${name}, not: ${value}`, spot(word));
  return { text: said, offset: word.offset };
}

function unknownFlag(name: string, word: Word, known: readonly string[]): InstructionProblem {
  const meant = nearest(name, known);
  return new InstructionProblem(`unknown flag: --${name}`, spot(word), meant === null ? null : `did you mean --${meant}?`);
}

function endOfWord(text: string, start: number, escapeToken: string): number {
  for (const char of quotedChars(text.slice(start), escapeToken)) if (isBlank(char)) return start + char.at;
  return text.length;
}

function unquoted(text: string, escapeToken: string): string {
  return [...quotedChars(text, escapeToken)].map(({ value }) => value).join('');
}

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text.charAt(at))) at++;
  return at;
}
