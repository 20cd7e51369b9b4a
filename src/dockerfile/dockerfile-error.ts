/** What is wrong with a Dockerfile: all of it, each with its place, and the excerpt that shows it. */
import { EngineError } from '../base/errors.ts';
import type { LineRange, Place } from './source-range.ts';

export interface Problem {
  /** Docker's words where it has some: clients match on them. */
  readonly message: string;
  readonly place: Place;
  /** What to write instead. */
  readonly fix?: string;
}

/** One or several problems of one file. The message is that of the first, in Docker's shape; `excerpts` shows all. */
export class DockerfileError extends EngineError {
  override readonly name = 'DockerfileError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super('invalid', problems.map(sentence).join('\n'));
    this.problems = problems;
  }
}

/** Thrown while one instruction is read; whoever knows the instruction adds its place. */
export class InstructionProblem extends Error {
  /** Of the word that is to blame: its offset in the instruction's text. */
  readonly word: { readonly offset: number; readonly length: number } | null;
  readonly fix: string | null;

  constructor(message: string, word: { readonly offset: number; readonly length: number } | null = null, fix: string | null = null) {
    super(message);
    this.word = word;
    this.fix = fix;
  }
}

const contextLines = 4;

/**
 * The lines around a problem, those it is about marked, and a caret under the word where it is known:
 *
 *     Dockerfile:2
 *     --------------------
 *        1 |     FROM scratch
 *        2 | >>> ENV A=1 # c
 *          |             ^
 *     --------------------
 */
export function excerpt(source: string, fileName: string, place: Place): string {
  const lines = source.split('\n').map((line) => shortened(line.replace(/\r$/, '')));
  const first = Math.max(1, place.startLine - contextLines);
  const last = Math.min(lines.length, place.endLine + contextLines);
  const width = String(last).length + 2;
  const shown: string[] = [];
  for (let line = first; line <= last; line++) {
    const mark = line >= place.startLine && line <= place.endLine ? '>>> ' : '    ';
    shown.push(`${String(line).padStart(width)} | ${mark}${lines[line - 1] ?? ''}`.trimEnd());
    if (place.at?.line === line) shown.push(caretLine(width, lines[line - 1] ?? '', place.at.column, place.at.length));
  }
  const rule = '-'.repeat(20);
  return [`${fileName}:${describeLines(place)}`, rule, ...shown, rule].join('\n');
}

const longestLine = 1000;

function shortened(line: string): string {
  return line.length <= longestLine ? line : `${line.slice(0, longestLine)}…`;
}

/** Tabs stay tabs, so that the caret stands where the word does. */
function caretLine(width: number, line: string, column: number, length: number): string {
  const before = line.slice(0, column - 1).replace(/[^\t]/g, ' ');
  const room = Math.max(1, Math.min(length, line.length - column + 1));
  return `${' '.repeat(width)} |     ${before}${'^'.repeat(room)}`;
}

function sentence({ message, place, fix }: Problem): string {
  return `dockerfile parse error on ${lineWord(place)}: ${message}${fix === undefined ? '' : ` (${fix})`}`;
}

function lineWord(range: LineRange): string {
  return range.startLine === range.endLine ? `line ${range.startLine}` : `lines ${range.startLine}-${range.endLine}`;
}

function describeLines({ startLine, endLine }: LineRange): string {
  return startLine === endLine ? String(startLine) : `${startLine}-${endLine}`;
}
