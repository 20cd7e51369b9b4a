/** How the arguments of instructions fall into words, before anything is expanded. Every word knows where it stood. */
import { InstructionProblem } from './dockerfile-error.ts';
import { isBlank, quotedChars } from './quoting.ts';

export interface Word {
  readonly text: string;
  /** In the instruction's text. */
  readonly offset: number;
}

/** What is left of an instruction's text. */
export interface Rest {
  readonly text: string;
  readonly offset: number;
}

/** FROM, EXPOSE, and the shell form of COPY, ADD and VOLUME: blanks split, quotes mean nothing yet. */
export function plainWords({ text, offset }: Rest): readonly Word[] {
  return [...text.matchAll(/\S+/g)].map((match) => ({ text: match[0], offset: offset + match.index }));
}

/** ENV, LABEL and ARG: blanks inside quotes or behind the escape character do not split; quotes stay. */
export function quotedWords({ text, offset }: Rest, escapeToken: string): readonly Word[] {
  const words: Word[] = [];
  let start = -1;
  const end = (at: number) => {
    if (start !== -1) words.push({ text: text.slice(start, at), offset: offset + start });
    start = -1;
  };
  for (const char of quotedChars(text, escapeToken)) {
    if (isBlank(char)) end(char.at);
    else if (start === -1) start = char.at;
  }
  end(text.length);
  return words;
}

export interface Assignment {
  readonly key: Word;
  readonly value: Word;
}

export interface Assignments {
  readonly pairs: readonly Assignment[];
  /** `ENV key all the rest`: one pair, as of old. */
  readonly legacy: boolean;
}

/** `A=1 B=2`, or the old `A all the rest`. */
export function assignments(name: string, rest: Rest, escapeToken: string): Assignments {
  const words = quotedWords(rest, escapeToken);
  const [first] = words;
  if (first === undefined) throw new InstructionProblem(`${name} requires at least one argument`);
  if (first.text.includes('=')) return { pairs: words.map((word) => assignment(name, word)), legacy: false };
  const second = words[1];
  if (second === undefined)
    throw new InstructionProblem(`${name} must have two arguments`, spot(first), `write ${name} ${first.text}=value`);
  const value = rest.text.slice(second.offset - rest.offset).trimEnd();
  return { pairs: [{ key: first, value: { text: value, offset: second.offset } }], legacy: true };
}

function assignment(name: string, word: Word): Assignment {
  const equals = word.text.indexOf('=');
  if (equals === -1) {
    throw new InstructionProblem(
      `Syntax error - can't find = in ${JSON.stringify(word.text)}. Must be of the form: name=value`,
      spot(word),
      word.text.startsWith('#') ? 'a comment needs a line of its own' : 'a value with blanks needs quotes',
    );
  }
  if (equals === 0) throw new InstructionProblem(`${name} names can not be blank`, spot(word), 'no blanks around =');
  return {
    key: { text: word.text.slice(0, equals), offset: word.offset },
    value: { text: word.text.slice(equals + 1), offset: word.offset + equals + 1 },
  };
}

export function spot(word: Word): { readonly offset: number; readonly length: number } {
  return { offset: word.offset, length: word.text.length };
}
