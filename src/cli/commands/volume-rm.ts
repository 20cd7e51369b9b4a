import { type Command, someArguments } from '../command.ts';
import { eachName } from '../container/each-name.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const volumeRm: Command = {
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  flags: defineFlags('-f, --force   Force the removal of one or more volumes'),
  args: someArguments,
  run(context) {
    return eachName(context, context.args, async (name) => {
      await context.client.volumes.remove(name, context.flags.bool('force'));
      return name;
    });
  },
};
