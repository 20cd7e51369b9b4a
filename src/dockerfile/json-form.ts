/** The JSON (exec) form of an instruction's arguments: the whole rest is one JSON list of strings. What is not valid JSON is the shell form, without a word. */
import { InstructionProblem } from './dockerfile-error.ts';
import type { Rest } from './words.ts';

/** Null: the shell form. */
export function jsonWords({ text, offset }: Rest): readonly string[] | null {
  if (!text.startsWith('[')) return null;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(list)) return null;
  if (!list.every((word) => typeof word === 'string')) {
    throw new InstructionProblem('when using JSON array syntax, arrays must be comprised of strings only', { offset, length: text.length });
  }
  return list;
}

/** `['a']` and the like: probably meant as JSON. */
export function looksLikeJson(text: string): boolean {
  return text.startsWith('[') && text.endsWith(']');
}
