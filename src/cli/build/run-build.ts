/**
 * `gantry build` from its command line to its exit code:
 *
 *     options ─▶ contexts, Dockerfile ─▶ session (shown while it runs) ─▶ files, texts, exit code
 *                                           └─ another daemon than ours: the classic protocol
 */
import type { CommandContext } from '../command.ts';
import { buildOnce } from './build-once.ts';
import type { StartBuild } from './build-session.ts';
import { prepareContexts } from './context/prepare-contexts.ts';
import { Interruption } from './interruption.ts';
import { readBuildOptions } from './options/build-options.ts';
import { prepareResultFiles } from './output/result-files.ts';

export async function runBuild(context: CommandContext, start: StartBuild): Promise<number> {
  const options = readBuildOptions(context);
  prepareResultFiles(options, context.io.cwd);
  if (options.watch) return await (await import('./watch-build.ts')).watchBuild(context, options, start);
  const prepared = await prepareContexts(options, context.io);
  using interruption = new Interruption();
  return (await buildOnce(context, { options, prepared, start, interruption, progress: options.progress })).exitCode;
}
