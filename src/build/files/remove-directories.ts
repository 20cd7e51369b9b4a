/** Removes directories of works, whatever is in them. For worker threads. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { openRoot } from '../../linux/path-in-root.ts';
import { removeTree } from '../../linux/remove-tree.ts';

let counter = 0;

/** Starts as the works' own directories do: what a crash left of it is removed with them. */
export const workPrefix = 'layer-';

export function removeDirectories(root: string, names: readonly string[]): void {
  const trashPath = join(root, `${workPrefix}trash-${process.pid}-${Date.now()}-${counter++}`);
  mkdirSync(trashPath, { mode: 0o700 });
  const rootDescriptor = openRoot(root);
  const trash = openRoot(trashPath);
  try {
    for (const name of names) removeTree(rootDescriptor, name, trash);
  } finally {
    closeDescriptor(trash);
    closeDescriptor(rootDescriptor);
  }
  rmdirSync(trashPath);
}
