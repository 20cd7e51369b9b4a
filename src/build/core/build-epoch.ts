/** The time that a build clamps everything to: `SOURCE_DATE_EPOCH` of its arguments or its file, else what the request says. */
import { invalid } from '../../base/errors.ts';
import type { Dockerfile } from '../../dockerfile/parse-dockerfile.ts';
import type { BuildRequest } from '../build-request.ts';
import type { BuildContexts } from './build-contexts.ts';
import { requireEpoch } from './limits.ts';

const argument = 'SOURCE_DATE_EPOCH';

/** Seconds since 1970; null: that of the base image. */
export async function buildEpoch(
  request: BuildRequest,
  dockerfile: Dockerfile,
  contexts: Pick<BuildContexts, 'time'>,
): Promise<number | null> {
  const said = request.buildArguments.get(argument) ?? globalDefault(dockerfile);
  if (said === undefined || said === '') return await asked(request.epoch, contexts);
  if (/^\d+$/.test(said)) return requireEpoch(Number(said), argument);
  if (said === 'context') return await contexts.time('');
  if (request.namedContexts.has(said)) return await contexts.time(said);
  throw invalid(`invalid ${argument}: ${said}: it is seconds since 1970, context, or the name of a build context`);
}

async function asked(epoch: BuildRequest['epoch'], contexts: Pick<BuildContexts, 'time'>): Promise<number | null> {
  if (epoch === 'now') return Math.floor(Date.now() / 1000);
  return epoch === 'context' ? await contexts.time('') : epoch;
}

function globalDefault({ globals }: Dockerfile): string | undefined {
  const declared = globals.flatMap((instruction) => (instruction.kind === 'arg' ? instruction.arguments : []));
  return declared.find(({ name }) => name.text === argument)?.value?.text.replace(/^(["'])(.*)\1$/, '$2');
}
