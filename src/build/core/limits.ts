/** What a build may ask for at most. Real ones stay far below; hostile ones are told so before anything is done for them. */
import { invalid } from '../../base/errors.ts';
import type { BuildRequest } from '../build-request.ts';

export const limits = {
  dockerfileBytes: 4 * 1024 * 1024,
  stages: 1000,
  /** More than overlay can stack. */
  layers: 500,
  platforms: 20,
  outputs: 50,
  /** Build arguments, labels, named contexts, host names, tags: each. */
  entries: 5000,
  entryBytes: 1024 * 1024,
} as const;

export function requireWithinLimits(request: BuildRequest): void {
  few(request.platforms.length, limits.platforms, 'platforms');
  few(request.outputs.length, limits.outputs, 'outputs');
  few(request.namedContexts.size, limits.entries, 'build contexts');
  few(request.run.extraHosts.length, limits.entries, 'extra hosts');
  for (const { names } of request.outputs) few(names.length, limits.entries, 'tags');
  small(request.buildArguments, 'build argument');
  small(request.labels, 'label');
  const { epoch } = request;
  if (typeof epoch === 'number') requireEpoch(epoch, 'timestamp');
}

/** Years 1970 to 9999, as a config can say them. */
export function requireEpoch(epoch: number, what: string): number {
  if (Number.isSafeInteger(epoch) && epoch >= 0 && epoch <= 253_402_300_799) return epoch;
  throw invalid(`invalid ${what}: ${epoch}: it is seconds since 1970`);
}

function few(count: number, limit: number, what: string): void {
  if (count > limit) throw invalid(`the build has ${count} ${what}, more than ${limit}`);
}

function small(entries: ReadonlyMap<string, string>, what: string): void {
  few(entries.size, limits.entries, `${what}s`);
  for (const [name, value] of entries) {
    if (name === '' || name.includes('\0') || value.includes('\0'))
      throw invalid(`invalid ${what} ${JSON.stringify(name)}: it is empty or holds a NUL byte`);
    if (name.length + value.length > limits.entryBytes)
      throw invalid(`the ${what} ${JSON.stringify(name.slice(0, 100))} is larger than ${limits.entryBytes} bytes`);
  }
}
