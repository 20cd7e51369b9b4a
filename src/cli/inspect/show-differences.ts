/** `inspect --diff A B`: what differs, one line a value, in colours on a terminal. Exit codes are diff's: 0 the same, 1 different, 2 an error. */
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { type Difference, differences } from './object-differences.ts';

export async function showDifferences(context: CommandContext, fetch: (name: string) => Promise<string>): Promise<number> {
  const { args, flags, io } = context;
  if (flags.string('format') !== '' && flags.string('format') !== 'json')
    throw new CliError('--diff takes no template as --format: only json', 2);
  const [one, other] = args;
  if (one === undefined || other === undefined || args.length > 2)
    throw new CliError('--diff compares two objects: gantry inspect --diff A B', 2);
  const [from, to] = await Promise.all([read(fetch, one), read(fetch, other)]);
  const found = differences(from, to);
  if (flags.string('format') === 'json') context.print(`${JSON.stringify(found)}\n`);
  else context.print(differenceText(one, other, found, io.stdout.isTTY === true && io.env.NO_COLOR === undefined));
  return found.length === 0 ? 0 : 1;
}

async function read(fetch: (name: string) => Promise<string>, name: string): Promise<unknown> {
  try {
    return JSON.parse(await fetch(name));
  } catch (error) {
    throw new CliError(errorMessage(error), 2, { cause: error });
  }
}

const RED = '\x1b[31m';
const GREEN = '\x1b[32m';
const PLAIN = '\x1b[0m';

export function differenceText(one: string, other: string, found: readonly Difference[], coloured: boolean): string {
  if (found.length === 0) return '';
  const line = (mark: string, colour: string, text: string): string =>
    coloured ? `${colour}${mark} ${text}${PLAIN}\n` : `${mark} ${text}\n`;
  const lines = found.flatMap((difference) => [
    ...(difference.kind === 'added' ? [] : [line('-', RED, `${difference.path}: ${valueText(difference.from)}`)]),
    ...(difference.kind === 'removed' ? [] : [line('+', GREEN, `${difference.path}: ${valueText(difference.to)}`)]),
  ]);
  return line('---', RED, one) + line('+++', GREEN, other) + lines.join('');
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
