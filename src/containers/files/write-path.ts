/** Into a container: a tar into one of its directories. In worker threads. */
import { EngineError, invalid } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoints.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { resolveUser } from '../../oci/users.ts';
import { type ImportRules, importInto, type Owner } from '../../volumes/import-archive.ts';
import { asRootOf, hostOwners } from './container-ids.ts';
import { ContainerTarget, readOnlyMount } from './container-target.ts';
import { ContainerTree, type Place } from './container-tree.ts';
import type { FileJob } from './file-job.ts';
import { explaining } from './read-path.ts';
import type { WriteRules } from './root-access.ts';

type WriteJob = Extract<FileJob, { kind: 'write' }>;

const maxUserFileBytes = 8 * 1024 * 1024;

export async function writePath(job: WriteJob, checkpoint: () => void): Promise<void> {
  const tree = ContainerTree.open(job.root);
  try {
    const target = openTarget(tree, job, checkpoint);
    const rules = importRules(tree, job);
    await asRootOf(job.root, () => importInto(job.readEnd, target, rules, checkpoint));
    failpoint('archive.written');
  } finally {
    tree.close();
  }
}

function openTarget(tree: ContainerTree, { path, reference, rules }: WriteJob, checkpoint: () => void): ContainerTarget {
  const place = explaining(path, reference, () => tree.resolve(path, 'follow'));
  try {
    if (!place.stats.isDirectory()) throw invalid('extraction point is not a directory');
    refuseReadOnly(tree, place, rules);
    return new ContainerTarget(tree, place, checkpoint);
  } catch (error) {
    closeDescriptor(place.fd);
    throw error;
  }
}

/** The deepest mount that the place is in counts, else the root. */
function refuseReadOnly(tree: ContainerTree, { path }: Place, { mounts, readOnlyRoot }: WriteRules): void {
  let deepest: { readonly depth: number; readonly readOnly: boolean } = { depth: 0, readOnly: false };
  for (const { destination, readOnly } of mounts) {
    const mounted = tree.locate(destination);
    if (mounted.length > deepest.depth && mounted.every((name, index) => path[index] === name))
      deepest = { depth: mounted.length, readOnly };
  }
  if (deepest.readOnly) throw readOnlyMount();
  if (deepest.depth === 0 && readOnlyRoot) throw new EngineError('forbidden', 'container rootfs is marked read-only');
}

function importRules(tree: ContainerTree, { options, root }: WriteJob): ImportRules {
  const hostOwner = hostOwners(root);
  return {
    what: 'the container',
    replaces: options.sameKindOnly ? 'same-kind' : 'anything',
    setsRoot: false,
    ownerOf: options.user === null ? hostOwner : constantly(hostOwner(ownerOf(tree, options.user))),
    // Overlay's own attributes would change what the container sees of its layers.
    keepAttribute: (name) => !name.startsWith('trusted.'),
    toleratesMissingAttributes: true,
  };
}

function constantly(owner: Owner): () => Owner {
  return () => owner;
}

function ownerOf(tree: ContainerTree, user: string): Owner {
  const text = (path: string) => tree.readText(path, maxUserFileBytes);
  const { uid, gid } = resolveUser(user, [], { passwd: text('/etc/passwd'), group: text('/etc/group') });
  return { uid, gid };
}
