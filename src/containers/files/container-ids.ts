/**
 * Owners inside and outside of a container with a user namespace of its own. On disk its files have the numbers that it has inside; while it runs, its mounts show
 * and take those of the host.
 */
import { invalid } from '../../base/errors.ts';
import { withFileSystemIds } from '../../linux/file-system-ids.ts';
import type { Owner } from '../../volumes/import-archive.ts';
import type { RootAccess } from './root-access.ts';

/** Who is nobody inside, as the kernel shows them. */
const OVERFLOW_ID = 65534;

export function shownIds(root: RootAccess): (id: number) => number {
  const ids = idsOf(root);
  if (ids === null) return (id) => id;
  return (id) => (id >= ids.base && id < ids.base + ids.size ? id - ids.base : OVERFLOW_ID);
}

/** By the numbers that a container has inside. */
export function hostOwners(root: RootAccess): (owner: Owner) => Owner {
  const ids = idsOf(root);
  if (ids === null) return (owner) => owner;
  const hostId = (id: number) => {
    if (id < ids.size) return ids.base + id;
    throw invalid(`the owner ${id} does not exist in the container: its user namespace has ${ids.size} ids`);
  };
  return ({ uid, gid }) => ({ uid: hostId(uid), gid: hostId(gid) });
}

/** As the container's root, where the host's is nobody. */
export async function asRootOf<T>(root: RootAccess, use: () => Promise<T>): Promise<T> {
  const ids = idsOf(root);
  return ids === null ? await use() : await withFileSystemIds(ids.base, ids.base, use);
}

function idsOf(root: RootAccess) {
  return root.kind === 'running' ? root.ids : null;
}
