import { CliError } from '../cli-error.ts';
import type { CliInput } from '../cli-io.ts';

/** A terminal for the container, typed into from a pipe, would echo and never see its end. */
export function checkTerminal(stdin: () => CliInput, attachStdin: boolean, tty: boolean): void {
  if (attachStdin && tty && stdin().isTTY !== true) throw new CliError('the input device is not a TTY', 1, { plain: true });
}
