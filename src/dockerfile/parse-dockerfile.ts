/**
 * A Dockerfile's text to its stages: bytes → lines → directives → logical lines → instruction word, flags, arguments → heredoc bodies → typed instructions.
 *
 * All problems of a file are told, not the first only. Nothing is expanded here and no stage is looked up: that is done where a build is planned.
 */
import { type CheckOptions, noCheckOptions, parseCheckOptions, type RuleSelection } from './check-options.ts';
import { type Directives, readDirectives } from './directives.ts';
import { DockerfileError, InstructionProblem, type Problem } from './dockerfile-error.ts';
import { type Heredoc, heredocOpeners, readBody } from './heredoc.ts';
import type { FromBody, Instruction, InstructionSource, Stage } from './instruction.ts';
import { jsonWords } from './json-form.ts';
import { LineReader, type LogicalLine, positionAt, splitLines } from './line-reader.ts';
import { mayHaveHeredocs, parseInstruction } from './parse-instruction.ts';
import type { Place } from './source-range.ts';
import { plainWords, type Rest, type Word } from './words.ts';

export interface Dockerfile {
  readonly directives: Directives;
  /** ARGs before the first FROM. */
  readonly globals: readonly Instruction[];
  readonly stages: readonly Stage[];
}

/** Told at the first one beyond: reading on would keep everybody else waiting. */
export const maxInstructions = 10_000;

/** Throws a `DockerfileError` that names every problem. */
export function parseDockerfile(source: string): Dockerfile {
  if (source === '') throw new DockerfileError([{ message: 'the Dockerfile cannot be empty', place: wholeLine(1) }]);
  const lines = splitLines(source);
  const { directives, problems: misdirected } = readDirectives(lines);
  const { instructions, problems } = readInstructions(lines, directives);
  const all = [...misdirected, ...problems];
  if (instructions.length === 0 && all.length === 0) all.push({ message: 'file with no instructions', place: wholeLine(1) });
  const { globals, stages } = intoStages(instructions, all);
  if (all.length > 0) throw new DockerfileError(all.toSorted((a, b) => a.place.startLine - b.place.startLine));
  return { directives, globals, stages };
}

function readInstructions(
  lines: readonly string[],
  directives: Directives,
): { readonly instructions: readonly Instruction[]; readonly problems: Problem[] } {
  const reader = new LineReader(lines, directives);
  const instructions: Instruction[] = [];
  const problems: Problem[] = [];
  for (let line = reader.next(); line !== null; line = reader.next()) {
    if (instructions.length + problems.length === maxInstructions) {
      problems.push({ message: `more than ${maxInstructions} instructions, the limit`, place: wholeLine(line.startLine) });
      break;
    }
    try {
      instructions.push(readInstruction(line, reader, directives.escape));
    } catch (thrown) {
      if (!(thrown instanceof InstructionProblem)) throw thrown;
      problems.push({
        message: thrown.message,
        place: placeOf(line, reader.lastLine, thrown),
        ...(thrown.fix === null ? {} : { fix: thrown.fix }),
      });
    }
  }
  return { instructions, problems };
}

function readInstruction(line: LogicalLine, reader: LineReader, escapeToken: string): Instruction {
  const [keyword = { text: '', offset: 0 }] = plainWords({ text: line.text, offset: 0 });
  const rest = after(line.text, keyword);
  const heredocs = readHeredocs(keyword, rest, reader, escapeToken);
  const body = parseInstruction({ keyword, rest, heredocs, escapeToken });
  return { place: { startLine: line.startLine, endLine: reader.lastLine }, line, keyword, skippedRules: skippedRules(line), ...body };
}

function readHeredocs(keyword: Word, rest: Rest, reader: LineReader, escapeToken: string): readonly Heredoc[] {
  const [inner] = keyword.text.toUpperCase() === 'ONBUILD' ? plainWords(rest) : [keyword];
  if (inner === undefined || !mayHaveHeredocs(inner.text)) return [];
  const text = inner === keyword ? rest : after(rest.text, { text: inner.text, offset: inner.offset - rest.offset }, rest.offset);
  const openers = heredocOpeners(text, escapeToken);
  if (openers.length === 0 || jsonWords(text) !== null) return [];
  // Several of a RUN, and one with words beside it, are given to the shell as they are: it takes tabs off itself.
  const forShell =
    inner.text.toUpperCase() === 'RUN' &&
    !isOnly(
      text,
      openers.map(({ word }) => word),
    );
  return openers.map((opener) => {
    const body = readBody(opener, () => reader.takeRaw(), forShell);
    if (body === null) {
      throw new InstructionProblem(
        'unterminated heredoc',
        { offset: opener.word.offset, length: opener.word.text.length },
        `a line must say ${opener.name} and nothing else`,
      );
    }
    return { ...opener, body };
  });
}

function isOnly(rest: Rest, openers: readonly Word[]): boolean {
  return openers.length === 1 && rest.text.trim() === openers[0]?.text;
}

function after(text: string, keyword: Word, base = 0): Rest {
  const tail = text.slice(keyword.offset + keyword.text.length);
  const left = tail.trimStart();
  return { text: left.trimEnd(), offset: base + text.length - left.length };
}

/** `# check=skip=Rule` directly above. */
function skippedRules(line: LogicalLine): RuleSelection {
  const said = line.comments.map((comment) => /^check\s*=\s*(.*)$/i.exec(comment)?.[1]).findLast((value) => value !== undefined);
  return said === undefined ? [] : lenient(said).skip;
}

/** What a comment says is a comment when it can't be read. */
function lenient(text: string): CheckOptions {
  try {
    return parseCheckOptions(text);
  } catch (thrown) {
    if (thrown instanceof InstructionProblem) return noCheckOptions;
    throw thrown;
  }
}

function intoStages(
  instructions: readonly Instruction[],
  problems: Problem[],
): { readonly globals: readonly Instruction[]; readonly stages: readonly Stage[] } {
  const globals: Instruction[] = [];
  const stages: { from: InstructionSource & FromBody; name: string | null; instructions: Instruction[] }[] = [];
  for (const instruction of instructions) {
    const stage = stages.at(-1);
    if (instruction.kind === 'from')
      stages.push({ from: instruction, name: instruction.stage?.text.toLowerCase() ?? null, instructions: [] });
    else if (stage) stage.instructions.push(instruction);
    else if (instruction.kind === 'arg') globals.push(instruction);
    else problems.push({ message: 'no build stage in current context', place: instruction.place, fix: 'FROM comes first' });
  }
  if (stages.length === 0 && problems.length === 0) {
    problems.push({ message: 'dockerfile contains no stages to build', place: globals[0]?.place ?? wholeLine(1), fix: 'add FROM IMAGE' });
  }
  return { globals, stages };
}

function placeOf(line: LogicalLine, endLine: number, { word }: InstructionProblem): Place {
  const lines = { startLine: line.startLine, endLine: Math.max(endLine, line.startLine) };
  return word === null ? lines : { ...lines, at: { ...positionAt(line, word.offset), length: Math.max(1, word.length) } };
}

function wholeLine(line: number): Place {
  return { startLine: line, endLine: line };
}
