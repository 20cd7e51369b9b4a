import { buildExamples, buildFlagGroups, buildFlags } from '../build/options/build-flags.ts';
import { type Command, oneArgument } from '../command.ts';

export const build: Command = {
  usage: '[OPTIONS] PATH | URL | -',
  flags: buildFlags,
  flagGroups: buildFlagGroups,
  examples: buildExamples,
  args: oneArgument,
  async run(context) {
    const [{ runBuild }, { startBuild }] = await Promise.all([import('../build/run-build.ts'), import('../../client/build-session.ts')]);
    return await runBuild(context, startBuild);
  },
};
