/**
 * Parser directives: the block of `# name=value` comments at the very top of a Dockerfile.
 *
 * The block ends at the first line that is no known directive: a blank line, any other comment, an unknown directive, an instruction. Later lines that look like
 * directives are comments. A `#!` line may come first; it ends the block for `escape` and not for `syntax` and `check`.
 */

import { type CheckOptions, noCheckOptions, parseCheckOptions } from './check-options.ts';
import type { Problem } from './dockerfile-error.ts';
import { InstructionProblem } from './dockerfile-error.ts';

export interface Directives {
  /** `\` or a backtick. */
  readonly escape: string;
  /** The whole value; null: none given. */
  readonly syntax: { readonly value: string; readonly line: number } | null;
  readonly check: CheckOptions;
  /** Lines of the block: they are no comments of what comes after. */
  readonly lineCount: number;
}

const directiveForm = /^#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.*?)\s*$/;
const known = ['syntax', 'escape', 'check'];

export function readDirectives(lines: readonly string[]): { readonly directives: Directives; readonly problems: readonly Problem[] } {
  const values = new Map<string, { value: string; line: number }>();
  const problems: Problem[] = [];
  let afterShebang = false;
  let lineCount = 0;
  for (const [index, text] of lines.entries()) {
    if (index === 0 && text.startsWith('#!')) {
      afterShebang = true;
      lineCount = 1;
      continue;
    }
    const [, written = '', value = ''] = directiveForm.exec(text.trim()) ?? [];
    const name = written.toLowerCase();
    if (!known.includes(name) || (name === 'escape' && afterShebang)) break;
    const line = index + 1;
    lineCount = line;
    if (values.has(name)) problems.push({ message: `only one ${name} parser directive can be used`, place: whole(line) });
    else values.set(name, { value, line });
  }
  return { directives: { ...interpret(values, problems), lineCount }, problems };
}

function interpret(
  values: ReadonlyMap<string, { readonly value: string; readonly line: number }>,
  problems: Problem[],
): Omit<Directives, 'lineCount'> {
  const escapeToken = values.get('escape');
  if (escapeToken && !['\\', '`'].includes(escapeToken.value)) {
    problems.push({ message: `invalid escape token '${escapeToken.value}' does not match \` or \\`, place: whole(escapeToken.line) });
  }
  return {
    escape: escapeToken?.value === '`' ? '`' : '\\',
    syntax: values.get('syntax') ?? null,
    check: checkOf(values.get('check'), problems),
  };
}

function checkOf(given: { readonly value: string; readonly line: number } | undefined, problems: Problem[]): CheckOptions {
  if (!given) return noCheckOptions;
  try {
    return parseCheckOptions(given.value);
  } catch (thrown) {
    if (!(thrown instanceof InstructionProblem)) throw thrown;
    problems.push({ message: thrown.message, place: whole(given.line) });
    return noCheckOptions;
  }
}

function whole(line: number) {
  return { startLine: line, endLine: line };
}
