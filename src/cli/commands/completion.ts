/** `completion SHELL`: a script for the shell, which asks `gantry __complete` (../completion/complete.ts) for the words. */
import { CliError } from '../cli-error.ts';
import { type Command, oneArgument } from '../command.ts';
import { shellScripts } from '../completion/shell-scripts.ts';

export const completion: Command = {
  usage: 'bash|fish|zsh',
  flags: [],
  args: oneArgument,
  async run(context) {
    const [shell = ''] = context.args;
    const script = Object.hasOwn(shellScripts, shell) ? shellScripts[shell] : undefined;
    if (script === undefined) throw new CliError(`no completion for ${shell}: there is one for bash, fish and zsh`);
    context.print(script);
    return 0;
  },
};
