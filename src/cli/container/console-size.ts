import type { CliIo } from '../cli-io.ts';
import type { FlagValues } from '../flags/flag-values.ts';
import { windowSize } from '../terminal/window-size.ts';

/** [rows, columns] for a container that gets a terminal. Our stdout is opened only when it matters. */
export function consoleSize(flags: FlagValues, io: CliIo): readonly [number, number] {
  if (!flags.bool('tty')) return [0, 0];
  const { rows, columns } = windowSize(io.stdout);
  return [rows, columns];
}
