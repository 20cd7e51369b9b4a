/**
 * Versions of Docker's API. All of them are `1.N`, so a version is its minor number here: 1.41 is 41.
 * 1.51 is announced because 1.52 drops fields that old clients read.
 */
import { invalid } from '../base/errors.ts';

export const newestApiMinor = 51;
export const oldestApiMinor = 24;

export function formatApiVersion(minor: number): string {
  return `1.${minor}`;
}

/** `text` is the part of the path after `/v`. The two refusals are matched by clients: keep Docker's words. */
export function parseApiVersion(text: string): number {
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text);
  if (match === null)
    throw invalid(`invalid API version ${JSON.stringify(text)} in the path: write it as /v${formatApiVersion(newestApiMinor)}`);
  const major = Number(match[1]);
  const minor = Number(match[2]);
  if (major > 1 || (major === 1 && minor > newestApiMinor)) {
    throw invalid(`client version ${text} is too new. Maximum supported API version is ${formatApiVersion(newestApiMinor)}`);
  }
  if (major < 1 || minor < oldestApiMinor) {
    throw invalid(
      `client version ${text} is too old. Minimum supported API version is ${formatApiVersion(oldestApiMinor)}, ` +
        'please upgrade your client to a newer version',
    );
  }
  return minor;
}
