import { ApiError } from '../../client/api-client.ts';
import { type Command, someArguments } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const networkRm: Command = {
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  flags: defineFlags('-f, --force   Do not error if the network does not exist'),
  args: someArguments,
  /** One after the other, as Docker does: what the first removal frees may matter to the second. */
  async run(context) {
    let failed = false;
    for (const name of context.args) {
      try {
        await context.client.networks.remove(name);
        context.print(`${name}\n`);
      } catch (error) {
        if (context.flags.bool('force') && error instanceof ApiError && error.status === 404) continue;
        failed = true;
        context.printError(`${errorMessage(error)}\n`);
      }
    }
    return failed ? 1 : 0;
  },
};
