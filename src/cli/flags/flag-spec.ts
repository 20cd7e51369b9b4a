/**
 * The flags of a command, written as the lines that `--help` prints:
 *
 *     -e, --env list            Set environment variables
 *         --sig-proxy           Pass signals on (default true)
 *
 * No type word: a boolean. `list`, `map`, … are those that commands read as lists. A default stands at the end in parentheses.
 * A `!` before the long name hides a flag from the help. One source for the parser and the help text.
 */

export interface FlagSpec {
  readonly name: string;
  readonly short: string;
  /** `bool`, or the word that the help shows: `string`, `list`, `int`, … */
  readonly type: string;
  readonly help: string;
  readonly defaultValue: string;
  readonly hidden: boolean;
}

export type FlagSpecs = readonly FlagSpec[];

const LINE = /^(?:-(\w), )?(!?)--([\w-]+)(?: ([\w-]+))?(?: {2,}(.*))?$/;

export function defineFlags(text: string): FlagSpecs {
  const specs: FlagSpec[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line === '') continue;
    const match = LINE.exec(line);
    if (match === null) throw new Error(`flag definition is malformed: ${line}`);
    const help = match[5] ?? '';
    const type = match[4] ?? 'bool';
    specs.push({
      name: match[3] ?? '',
      short: match[1] ?? '',
      type,
      help,
      defaultValue: /\(default "?([^")]*)"?\)$/.exec(help)?.[1] ?? (type === 'bool' ? 'false' : ''),
      hidden: match[2] === '!',
    });
  }
  return specs;
}

/** `-m, --memory`, as error messages name a flag. */
export function flagTitle(spec: FlagSpec): string {
  return spec.short === '' ? `--${spec.name}` : `-${spec.short}, --${spec.name}`;
}
