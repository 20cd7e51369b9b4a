/** WORKDIR: the directory with those on the way that are missing, 0755, of the stage's user; what is there stays as it is. For worker threads. */
import { invalid } from '../../base/errors.ts';
import { LayerStack } from '../../store/layer-stack.ts';
import { userFilesOf, writeLayer } from './copy-files.ts';
import { resolveOwnerOrRoot } from './file-owner.ts';
import type { LayerContent } from './layer-tar.ts';
import { PlannedTree } from './planned-tree.ts';

export interface DirectoryJob {
  readonly directory: string;
  readonly lowers: readonly string[];
  readonly path: string;
  /** As USER says it. */
  readonly owner: string;
  readonly epoch: number;
}

export function makeDirectories({ directory, lowers, path, owner, epoch }: DirectoryJob, checkpoint: () => void): LayerContent {
  const blocked = (at: readonly string[]) => invalid(`cannot make the directory ${path}: /${at.join('/')} is not a directory`);
  const tree = new PlannedTree(new LayerStack(lowers), blocked);
  const place = tree.resolve(path);
  if (place.missing.length > 0 || place.other !== null) {
    const { uid, gid } = resolveOwnerOrRoot(owner, userFilesOf(lowers), `USER ${owner}`);
    tree.directoryAt(place, { mode: 0o755, uid, gid, modifiedAt: epoch, extendedAttributes: new Map() });
  }
  return writeLayer(directory, tree.root, epoch, checkpoint);
}
