/** What a thread is asked for of cache mounts. Containers made what lies there: it is looked at by descriptors, no link is followed. */
import { closeSync, constants, openSync } from 'node:fs';
import { readNames } from '../../linux/read-names.ts';
import { removeTree } from '../../linux/remove-tree.ts';
import { walkTree } from '../../linux/walk-tree.ts';

export type CacheMountJob =
  | { readonly kind: 'size'; readonly path: string }
  /** Everything in a directory; it stays. */
  | { readonly kind: 'empty'; readonly path: string };

export function runCacheMountJob(job: CacheMountJob, checkpoint: () => void): number {
  const directory = openSync(job.path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return job.kind === 'size' ? sizeOf(directory, checkpoint) : empty(directory, checkpoint);
  } finally {
    closeSync(directory);
  }
}

/** Sum of the sizes of regular files, each once however many names it has. */
function sizeOf(directory: number, checkpoint: () => void): number {
  const linked = new Set<bigint>();
  let sizeBytes = 0;
  walkTree(directory, {
    entry(_, __, stats) {
      checkpoint();
      if (!stats.isFile()) return;
      if (stats.nlink > 1n) {
        if (linked.has(stats.ino)) return;
        linked.add(stats.ino);
      }
      sizeBytes += Number(stats.size);
    },
    enter() {},
    leave() {},
  });
  return sizeBytes;
}

function empty(directory: number, checkpoint: () => void): number {
  for (const name of readNames(directory)) {
    checkpoint();
    removeTree(directory, name, directory);
  }
  return 0;
}
