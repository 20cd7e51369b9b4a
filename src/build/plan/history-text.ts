/** `created_by` of an image's history, as BuildKit words it: after expansion, arguments of RUN in front of its command. */

import { goDuration } from '../../base/go-duration.ts';
import type { Command, HealthcheckBody } from '../../dockerfile/instruction.ts';

const mark = ' # buildkit';

/** `RUN |2 A=1 B= /bin/sh -c make # buildkit` */
export function runHistory(
  argv: readonly string[],
  declared: ReadonlyMap<string, string | null>,
  environment: ReadonlyMap<string, string>,
): string {
  const named = [...declared].map(([name, value]) => `${name}=${environment.get(name) ?? value ?? ''}`);
  const prefix = named.length === 0 ? '' : `|${named.length} ${named.join(' ')} `;
  return `RUN ${prefix}${argv.join(' ')}${mark}`;
}

export interface CopyWords {
  readonly kind: 'copy' | 'add';
  readonly parents: boolean;
  readonly owner: string | null;
  readonly mode: string | null;
  /** Heredocs as `<<NAME`. */
  readonly sources: readonly string[];
  readonly destination: string;
}

export function copyHistory({ kind, parents, owner, mode, sources, destination }: CopyWords): string {
  const flags = [parents ? '--parents' : '', owner === null ? '' : `--chown=${owner}`, mode === null ? '' : `--chmod=${mode}`];
  return [kind.toUpperCase(), ...flags.filter((flag) => flag !== ''), ...sources, destination].join(' ') + mark;
}

/** `CMD ["/bin/sh" "-c" "x"]` */
export function commandHistory(name: string, argv: readonly string[]): string {
  return `${name} [${argv.map((word) => JSON.stringify(word)).join(' ')}]`;
}

export function listHistory(name: string, words: readonly string[]): string {
  return `${name} [${words.join(' ')}]`;
}

export function pairsHistory(name: string, pairs: readonly (readonly [string, string | null])[]): string {
  return [name, ...pairs.map(([key, value]) => (value === null ? key : `${key}=${value}`))].join(' ');
}

export function healthcheckHistory(check: HealthcheckBody): string {
  if (check.kind === 'none') return healthWords('NONE', []);
  const { command, interval, timeout, startPeriod, startInterval, retries } = check;
  return healthWords(testWords(command), [interval, timeout, startPeriod, startInterval], retries);
}

function testWords(command: Command): string {
  return command.form === 'exec' ? ['CMD', ...command.words].join(' ') : `CMD-SHELL ${command.text}`;
}

function healthWords(
  test: string,
  [interval, timeout, startPeriod, startInterval]: readonly (number | null)[],
  retries: number | null = null,
): string {
  const text = (nanoseconds: number | null | undefined) => goDuration((nanoseconds ?? 0) / 1e6);
  const durations = `Interval:${text(interval)} Timeout:${text(timeout)} StartPeriod:${text(startPeriod)} StartInterval:${text(startInterval)}`;
  return `HEALTHCHECK {Test:[${test}] ${durations} Retries:${retries ?? 0}}`;
}
