import { ApiError } from '../../client/api-client.ts';
import { type Command, someArguments } from '../command.ts';
import { eachName } from '../container/each-name.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const containerRm: Command = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: defineFlags(`
  -f, --force     Force the removal of a running container (uses SIGKILL)
  -l, --link      Remove the specified link
  -v, --volumes   Remove anonymous volumes associated with the container
`),
  args: someArguments,
  run(context) {
    const { flags, client } = context;
    const force = flags.bool('force');
    return eachName(context, context.args, async (given) => {
      const name = given.replace(/^\/+/, '');
      try {
        await client.containers.remove(name, { force, volumes: flags.bool('volumes'), link: flags.bool('link') });
      } catch (error) {
        // Docker: with --force, what is not there is as good as removed; it is told all the same.
        if (!force || !(error instanceof ApiError) || error.status !== 404) throw error;
        context.printError(`${errorMessage(error)}\n`);
        return null;
      }
      return name;
    });
  },
};
