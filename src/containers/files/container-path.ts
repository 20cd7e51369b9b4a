/** Paths as clients give them to the archive endpoints: taken from the container's root, `..` by its text; a trailing `/` or `/.` asks for a directory. Pure. */
import { posix } from 'node:path';
import { invalid } from '../../base/errors.ts';

export interface ContainerPath {
  readonly text: string;
  /** The last part of what was asked: entries of an archive carry it. `/` of the root, `.` after a trailing `/.`. */
  readonly name: string;
  /** A link as the last part is followed, and a directory must be there. */
  readonly directory: boolean;
}

export function parseContainerPath(given: string): ContainerPath {
  if (given === '') throw invalid('bad parameter: path cannot be empty');
  if (given.includes('\0')) throw invalid('bad parameter: the path holds a NUL byte');
  const clean = posix.resolve('/', given);
  const contents = given === '.' || given.endsWith('/.');
  const directory = contents || given.endsWith('/') || clean === '/';
  return { text: clean, directory, name: clean === '/' ? '/' : contents ? '.' : posix.basename(clean) };
}
