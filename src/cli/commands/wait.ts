import { CliError } from '../cli-error.ts';
import { type Command, someArguments } from '../command.ts';
import { eachName } from '../container/each-name.ts';
import { parseCondition, patienceOf, waitUntilReady } from '../container/readiness.ts';
import { defineFlags } from '../flags/flag-spec.ts';

export const wait: Command = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: defineFlags(`
      --condition string    Wait for "not-running", "next-exit", "removed", "healthy", "log=REGEX" or "port=N" (default "not-running")
      --timeout duration    Give up after this time (ms|s|m|h)
`),
  args: someArguments,
  run(context) {
    const { client, flags } = context;
    const condition = flags.string('condition');
    const wish = parseCondition(condition);
    const patienceMs = patienceOf(flags, 'timeout');
    return eachName(context, context.args, async (name) => {
      if (wish !== null) {
        await waitUntilReady(client.containers, name, wish, patienceMs);
        return name;
      }
      const signal = patienceMs === null ? undefined : AbortSignal.timeout(patienceMs);
      try {
        const { exit } = await client.containers.wait(name, condition as '' | 'next-exit' | 'removed' | 'not-running', signal);
        return String((await exit).StatusCode);
      } catch (error) {
        if (signal?.aborted !== true) throw error;
        throw new CliError(`timed out after ${(patienceMs ?? 0) / 1000} s: container ${name} has not ended yet`, 1, { cause: error });
      }
    });
  },
};
