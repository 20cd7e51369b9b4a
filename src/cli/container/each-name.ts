import type { CommandContext } from '../command.ts';
import { errorMessage } from '../error-message.ts';

const CONCURRENCY = 50;

/** The same call for every argument, side by side; answers are told in the order of the arguments, and one failure does not stop the others. */
export async function eachName(
  context: CommandContext,
  names: readonly string[],
  act: (name: string) => Promise<string | null>,
): Promise<number> {
  let failed = false;
  for (let start = 0; start < names.length; start += CONCURRENCY) {
    const batch = names.slice(start, start + CONCURRENCY);
    const results = await Promise.allSettled(batch.map(act));
    for (const result of results) {
      if (result.status === 'rejected') {
        failed = true;
        context.printError(`${errorMessage(result.reason)}\n`);
      } else if (result.value !== null) context.print(`${result.value}\n`);
    }
  }
  return failed ? 1 : 0;
}
