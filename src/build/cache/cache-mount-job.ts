/** What a thread is asked for of cache mounts. Containers made what lies there: it is looked at by descriptors, no link is followed. */
import { closeSync, constants, openSync } from 'node:fs';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { readNames } from '../../linux/read-names.ts';
import { removeTree } from '../../linux/remove-tree.ts';
import { walkTree } from '../../linux/walk-tree.ts';
import { exportTree } from '../../store/export-tree.ts';

export type CacheMountJob =
  | { readonly kind: 'size'; readonly path: string }
  /** All of it as a tar, times and owners as they are; `writeEnd` of a pipe is closed at the end. */
  | { readonly kind: 'pack'; readonly path: string; readonly writeEnd: number }
  /** Everything in a directory; it stays. */
  | { readonly kind: 'empty'; readonly path: string };

export function runCacheMountJob(job: CacheMountJob, checkpoint: () => void): number {
  const directory = openSync(job.path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (job.kind === 'size') return sizeOf(directory, checkpoint);
    if (job.kind === 'empty') return empty(directory, checkpoint);
    exportTree(directory, job.writeEnd, checkpoint);
    return 0;
  } finally {
    closeSync(directory);
    if (job.kind === 'pack') closeDescriptor(job.writeEnd);
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
