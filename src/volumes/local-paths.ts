/**
 * Where local volumes lie. Nobody but root gets through the outer directories; containers see `_data` alone.
 *
 *     <data-root>/volumes/NAME/_data            0701, 0701, then what the volume's owner makes of it
 *     <data-root>/volumes/NAME/.staged-RANDOM   content on its way in, or the old one on its way out
 *     <data-root>/volumes/.new-HASH             a volume that has no record yet
 *     <data-root>/volumes/.removed-HASH         one whose record is about to go, or has gone
 *
 * HASH stands for the name, which may be as long as a file name can be. What a crash leaves behind is put right by `repair-volumes.ts`.
 */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';

export const STAGED = '.staged-';
/** Inside a mounted volume, where there is no place beside the content. */
export const STAGED_INSIDE = '.gantry-staged-';

export class LocalPaths {
  readonly root: string;

  constructor(dataRoot: string) {
    this.root = join(dataRoot, 'volumes');
  }

  directory(name: string): string {
    return join(this.root, name);
  }

  data(name: string): string {
    return join(this.root, name, '_data');
  }

  created(name: string): string {
    return join(this.root, `.new-${hashOf(name)}`);
  }

  removed(name: string): string {
    return join(this.root, `.removed-${hashOf(name)}`);
  }

  staged(name: string): string {
    return join(this.root, name, `${STAGED}${randomBytes(8).toString('hex')}`);
  }
}

export function stagedInside(mountpoint: string): string {
  return join(mountpoint, `${STAGED_INSIDE}${randomBytes(8).toString('hex')}`);
}

function hashOf(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 40);
}
