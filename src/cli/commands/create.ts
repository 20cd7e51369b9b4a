import { CliError } from '../cli-error.ts';
import { type Command, someArguments } from '../command.ts';
import { createContainer } from '../container/create-container.ts';
import { createFlags } from '../container/create-flags.ts';
import { buildCreateRequest } from '../container/create-request.ts';
import { errorMessage } from '../error-message.ts';

export const create: Command = {
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  flags: createFlags,
  args: someArguments,
  interspersed: false,
  runLike: true,
  async run(context) {
    const { body } = buildCreateRequest(context, [0, 0]);
    try {
      context.print(`${await createContainer(context, body, context.args[0] ?? '')}\n`);
      return 0;
    } catch (error) {
      if (error instanceof CliError) throw error;
      // Unlike `run`, Docker's `create` has 125 only for wrong options.
      throw new CliError(errorMessage(error), 1, { cause: error, plain: true });
    }
  },
};
