/** Flags of commands that need no daemon (`gantry registry …`, `gantry device …`): one table a command, its parser, its help. The same way of writing as the other commands of `gantry`. */

import { invalid } from '../base/errors.ts';
import { nearest } from '../base/near-miss.ts';
import { parseSwitch } from './switch-text.ts';

export interface ToolFlag {
  readonly name: string;
  readonly kind: 'text' | 'list' | 'switch';
  readonly help: string;
}

/** A switch is `true` or `false`. */
export class ToolFlags {
  readonly #values: ReadonlyMap<string, readonly string[]>;
  readonly args: readonly string[];

  constructor(values: ReadonlyMap<string, readonly string[]>, args: readonly string[]) {
    this.#values = values;
    this.args = args;
  }

  /** Null: not given. */
  text(name: string): string | null {
    return this.#values.get(name)?.at(-1) ?? null;
  }

  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** Null: not given. */
  isOn(name: string): boolean | null {
    const text = this.text(name);
    return text === null ? null : parseSwitch(text, `--${name}`);
  }
}

/** `title`: as it was called, for errors. Null: help is wanted. */
export function parseToolFlags(argv: readonly string[], flags: readonly ToolFlag[], title: string, maxArgs = 0): ToolFlags | null {
  const values = new Map<string, string[]>();
  const args: string[] = [];
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === '--help' || argument === '-h') return null;
    if (!argument.startsWith('-') || argument === '-') {
      args.push(argument);
      continue;
    }
    const [, name = '', inline] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
    const flag = flags.find((candidate) => candidate.name === name);
    if (flag === undefined) throw unknownFlag(argument, name, flags, title);
    const value = inline ?? (flag.kind === 'switch' ? 'true' : rest.shift());
    if (value === undefined) throw invalid(`flag needs an argument: --${name}`);
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  if (args.length > maxArgs)
    throw invalid(
      `'${title}' takes ${maxArgs === 0 ? 'no arguments' : `at most ${maxArgs}`}, but got ${JSON.stringify(args[maxArgs])}. See ${title} --help`,
    );
  return new ToolFlags(values, args);
}

export function toolFlagHelp(usage: string, summary: string, flags: readonly ToolFlag[], more = ''): string {
  const titles = flags.map(({ name, kind }) => `      --${name}${kind === 'switch' ? '' : kind === 'list' ? ' list' : ' string'}`);
  const width = Math.max(...titles.map((title) => title.length)) + 3;
  const lines = flags.map(({ help }, index) => `${(titles[index] ?? '').padEnd(width)}${help}\n`);
  return `Usage:  ${usage}\n\n${summary}\n\nOptions:\n${lines.join('')}${more === '' ? '' : `\n${more}`}`;
}

function unknownFlag(argument: string, name: string, flags: readonly ToolFlag[], title: string): Error {
  const near = nearest(
    name,
    flags.map((flag) => flag.name),
  );
  return invalid(`unknown flag: ${argument.split('=', 1)[0]}${near === null ? '' : `. Did you mean --${near}?`} See ${title} --help`);
}
