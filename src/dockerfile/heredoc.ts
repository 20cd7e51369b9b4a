/**
 * Heredocs of RUN, COPY and ADD: `<<WORD` openers on the instruction's line, whose bodies follow line by line, in order.
 *
 * An opener is a whole shell word `[fd]<<[-][blank]WORD`; glued to something (`cat<<X`) or quoted as a whole it is none, and with an unbalanced quote anywhere on the
 * line there is none at all. A quoted WORD keeps its body from being expanded.
 */
import { withoutReturn } from './line-reader.ts';
import { quotedChars } from './quoting.ts';
import { quotedWords, type Rest, type Word } from './words.ts';

export interface HeredocOpener {
  /** Terminator, and the file's name in COPY and ADD. */
  readonly name: string;
  readonly expand: boolean;
  /** `<<-`: leading tabs of every line go. */
  readonly chomp: boolean;
  /** As written, for finding it among an instruction's words. */
  readonly word: Word;
}

export interface Heredoc extends HeredocOpener {
  /** Line ends as they are in the file, the last one included; a `\r` stays. */
  readonly body: string;
}

export function heredocOpeners(rest: Rest, escapeToken: string): readonly HeredocOpener[] {
  if (!rest.text.includes('<<') || !balanced(rest.text, escapeToken)) return [];
  const words = quotedWords(rest, escapeToken);
  return words.flatMap((word, index) => opener(word, words[index + 1], rest) ?? []);
}

function opener(word: Word, next: Word | undefined, rest: Rest): HeredocOpener | null {
  const [, dash, written] = /^\d*<<(-?)([^<]*)$/.exec(word.text) ?? [];
  if (written === undefined) return null;
  const separate = written === '' && next !== undefined && !next.text.includes('<');
  const text = separate ? next.text : written;
  const name = text.replace(/["']/g, '').replace(/\\(.)/g, '$1');
  if (name === '') return null;
  const end = separate ? next.offset + next.text.length : word.offset + word.text.length;
  const whole = { text: rest.text.slice(word.offset - rest.offset, end - rest.offset), offset: word.offset };
  return { name, expand: name === text, chomp: dash === '-', word: whole };
}

/** Without this a line with an apostrophe in it would lose what follows. */
function balanced(text: string, escapeToken: string): boolean {
  const chars = quotedChars(text, escapeToken);
  for (;;) {
    const { done, value } = chars.next();
    if (done) return !value;
  }
}

/** Null: the file ends before its terminator. `keepTabs`: the shell will take them off itself. */
export function readBody(opener: HeredocOpener, nextLine: () => string | null, keepTabs: boolean): string | null {
  let body = '';
  for (let line = nextLine(); line !== null; line = nextLine()) {
    const bare = withoutReturn(line);
    if ((opener.chomp ? bare.replace(/^\t+/, '') : bare) === opener.name) return body;
    body += `${opener.chomp && !keepTabs ? line.replace(/^\t+/, '') : line}\n`;
  }
  return null;
}
