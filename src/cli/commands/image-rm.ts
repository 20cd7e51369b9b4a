import { ApiError } from '../../client/api-client.ts';
import { CliError } from '../cli-error.ts';
import { type Command, someArguments } from '../command.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const imageRm: Command = {
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: defineFlags(`
  -f, --force              Force removal of the image
      --no-prune           Do not delete untagged parents
      --platform strings   Remove only the given platform variant (os[/arch[/variant]],...)
`),
  args: someArguments,
  async run(context) {
    const { flags, client } = context;
    const force = flags.bool('force');
    const platforms = flags.list('platform').flatMap((text) => text.split(','));
    const complaints: string[] = [];
    let fatal = false;
    for (const name of context.args) {
      try {
        const removed = await client.images.remove(name, { force, noPrune: flags.bool('no-prune'), platforms });
        context.print(
          removed.map((item) => (item.Deleted === undefined ? `Untagged: ${item.Untagged}\n` : `Deleted: ${item.Deleted}\n`)).join(''),
        );
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 404) fatal = true;
        complaints.push(errorMessage(error));
      }
    }
    if (complaints.length === 0) return 0;
    if (fatal || !force) throw new CliError(complaints.join('\n'));
    context.printError(`${complaints.join('\n')}\n`);
    return 0;
  },
};
