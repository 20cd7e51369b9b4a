/** The commands that are one call for each container. */

import type { StopQuery } from '../../client/container-api.ts';
import { CliError } from '../cli-error.ts';
import { type Command, someArguments } from '../command.ts';
import { eachName } from '../container/each-name.ts';
import { errorMessage } from '../error-message.ts';
import { defineFlags } from '../flags/flag-spec.ts';
import type { FlagValues } from '../flags/flag-values.ts';

const usage = 'CONTAINER [CONTAINER...]';
const withOptions = `[OPTIONS] ${usage}`;

const stopFlags = defineFlags(`
  -s, --signal string   Signal to send to the container
      !--time int       Old name of --timeout
  -t, --timeout int     Seconds to wait before killing the container
`);

function stopQuery(flags: FlagValues): StopQuery {
  if (flags.has('time') && flags.has('timeout')) throw new CliError('conflicting options: cannot specify both --timeout and --time');
  const name = flags.has('timeout') ? 'timeout' : flags.has('time') ? 'time' : null;
  return {
    ...(flags.has('signal') ? { signal: flags.string('signal') } : {}),
    ...(name === null ? {} : { timeoutSeconds: flags.int(name) }),
  };
}

export const stop: Command = {
  usage: withOptions,
  flags: stopFlags,
  args: someArguments,
  run(context) {
    const query = stopQuery(context.flags);
    return eachName(context, context.args, async (name) => {
      await context.client.containers.stop(name, query);
      return name;
    });
  },
};

export const restart: Command = {
  usage: withOptions,
  flags: stopFlags,
  args: someArguments,
  run(context) {
    const query = stopQuery(context.flags);
    return eachName(context, context.args, async (name) => {
      await context.client.containers.restart(name, query);
      return name;
    });
  },
};

export const kill: Command = {
  usage: withOptions,
  flags: defineFlags('-s, --signal string   Signal to send to the container'),
  args: someArguments,
  run(context) {
    const signal = context.flags.string('signal') || null;
    return eachName(context, context.args, async (name) => {
      await context.client.containers.kill(name, signal);
      return name;
    });
  },
};

export const pause: Command = {
  usage,
  flags: [],
  args: someArguments,
  run: (context) =>
    eachName(context, context.args, async (name) => {
      await context.client.containers.pause(name);
      return name;
    }),
};

export const unpause: Command = {
  usage,
  flags: [],
  args: someArguments,
  run: (context) =>
    eachName(context, context.args, async (name) => {
      await context.client.containers.unpause(name);
      return name;
    }),
};

export const rename: Command = {
  usage: 'CONTAINER NEW_NAME',
  flags: [],
  args: { min: 2, max: 2 },
  async run(context) {
    const [from = '', to = ''] = context.args.map((arg) => arg.trim());
    if (from === '' || to === '') throw new CliError('Error: Neither old nor new names may be empty');
    try {
      await context.client.containers.rename(from, to);
      return 0;
    } catch (error) {
      context.printError(`${errorMessage(error)}\n`);
      throw new CliError(`Error: failed to rename container named ${from}`, 1, { cause: error });
    }
  },
};
