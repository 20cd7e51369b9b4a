/** `--shell-on-error`: `gantry run -it` on what was there before the step that failed. The image is gone when the shell is. */
import type { CommandContext } from '../command.ts';
import { run } from '../commands/run.ts';
import { errorMessage } from '../error-message.ts';
import { parseFlags } from '../flags/flag-parser.ts';

export async function openFailedShell(context: CommandContext, image: string): Promise<void> {
  context.printError('\nA shell in the state before the step that failed; `exit` leaves it:\n');
  const { flags, args } = parseFlags(['--rm', '-it', '--entrypoint', '/bin/sh', image], run.flags, false);
  const { io, config, address, build, client, title } = context;
  const print = (text: string): void => context.print(text);
  const printError = (text: string): void => context.printError(text);
  try {
    await run.run({ io, config, address, build, client, title, flags, args, print, printError });
  } catch (error) {
    context.printError(`the shell could not be opened: ${errorMessage(error)}\n`);
  } finally {
    await client.images.remove(image, { force: true, noPrune: false, platforms: [] }).catch((error: unknown) => {
      context.printError(`WARNING: image ${image} could not be removed: ${errorMessage(error)}\n`);
    });
  }
}
