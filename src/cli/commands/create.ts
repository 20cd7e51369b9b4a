import { type Command, someArguments } from '../command.ts';
import { createContainer } from '../container/create-container.ts';
import { createFlags } from '../container/create-flags.ts';
import { buildCreateRequest } from '../container/create-request.ts';

export const create: Command = {
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  flags: createFlags,
  args: someArguments,
  interspersed: false,
  runLike: true,
  async run(context) {
    const { body } = buildCreateRequest(context.flags, context.args, context.io, [0, 0]);
    context.print(`${await createContainer(context, body, context.args[0] ?? '')}\n`);
    return 0;
  },
};
