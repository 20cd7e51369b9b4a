/** What a volume may be called: the name becomes a directory. */
import { randomBytes } from 'node:crypto';
import { invalid } from '../base/errors.ts';

/** As long as a file name can be. */
const MAXIMUM_BYTES = 255;
const allowed = '[a-zA-Z0-9][a-zA-Z0-9_.-]';

export function checkVolumeName(name: string): void {
  if (name.length === 1) throw invalid('volume name is too short, names should be at least two alphanumeric characters');
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name) || name.includes('\n')) {
    throw invalid(
      `${JSON.stringify(name)} includes invalid characters for a local volume name, only ${JSON.stringify(allowed)} are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
  if (name.length > MAXIMUM_BYTES) throw invalid(`the volume name is ${name.length} characters long, the limit is ${MAXIMUM_BYTES}`);
}

export function anonymousVolumeName(): string {
  return randomBytes(32).toString('hex');
}

export const ANONYMOUS_LABEL = 'com.docker.volume.anonymous';
