/** `volume rename` and `volume clone`, which Docker has not. */
import type { Command } from '../command.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import { keyValueMap } from '../parse/environment.ts';

const twoArguments = { min: 2, max: 2 } as const;

export const volumeRename: Command = {
  usage: 'VOLUME NEW_NAME',
  flags: [],
  args: twoArguments,
  async run({ client, args }) {
    const [name = '', newName = ''] = args;
    await client.volumes.rename(name, newName);
    return 0;
  },
};

export const volumeClone: Command = {
  usage: '[OPTIONS] VOLUME NEW_VOLUME',
  flags: defineFlags('--label list   Set metadata for the new volume'),
  args: twoArguments,
  async run(context) {
    const { client, args, flags } = context;
    const [name = '', newName = ''] = args;
    const { Name } = await client.volumes.clone(name, newName, keyValueMap(flags.list('label')));
    context.print(`${Name}\n`);
    return 0;
  },
};
