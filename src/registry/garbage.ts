/**
 * Garbage collection beside pushes and pulls. A link goes when no manifest of its repository names it, none that is being committed does, and nobody counted on it for the
 * grace; the file goes when no repository links it, no lease holds it and nobody else needs it. Each look and the removal it decides are one turn of the event loop: whoever
 * looks later finds it missing and pushes it, whoever looked before has made it young.
 *
 *     look ─┬─▶ out of memory (same turn) ─▶ out of the records, durable ─▶ look again ─┬─▶ file renamed away (same turn) ─▶ file removed
 *           └─▶ young, named or pinned: stays                                           └─▶ linked or leased anew: stays
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Digest } from '../base/brand.ts';
import { failpoint } from '../base/failpoints.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { Leases } from '../store/leases.ts';
import type { GarbageReport } from './registry.ts';
import type { RegistryRecords } from './registry-records.ts';
import type { Upload } from './registry-upload.ts';
import type { RepositoryState } from './repository-state.ts';

export interface Collected {
  readonly records: RegistryRecords;
  readonly uploads: { values(): Iterable<Upload> };
  readonly options: {
    readonly blobs: BlobStore;
    readonly leases: Leases;
    readonly graceMs: number;
    readonly uploadPatienceMs: number;
    readonly neededElsewhere?: (digest: Digest) => boolean;
    now(): number;
  };
}

/** Looks per turn, and links per commit. */
const looksPerTurn = 5000;
const linksPerCommit = 200;

export async function collectGarbage(registry: Collected, dryRun: boolean, signal: AbortSignal): Promise<GarbageReport> {
  const removedUploads = await removeUploads(registry, dryRun, signal);
  const unlinked = await removeLinks(registry, dryRun, signal);
  const files = dryRun ? await countFiles(registry, unlinked, signal) : await removeFiles(registry, signal);
  return { removedUploads, ...files };
}

async function removeUploads({ uploads, options }: Collected, dryRun: boolean, signal: AbortSignal): Promise<number> {
  const oldest = options.now() - options.uploadPatienceMs;
  const old = [...uploads.values()].filter(({ usedAt }) => usedAt < oldest);
  if (dryRun) return old.length;
  let removed = 0;
  for (const upload of old) {
    signal.throwIfAborted();
    // Somebody may have gone on with it meanwhile.
    if (upload.usedAt >= oldest) continue;
    await upload.cancel().then(
      () => removed++,
      () => {},
    );
  }
  return removed;
}

type Link = readonly [repository: string, digest: Digest];

/** Says which are or would be gone. */
async function removeLinks(registry: Collected, dryRun: boolean, signal: AbortSignal): Promise<readonly Link[]> {
  const gone: Link[] = [];
  let batch: Link[] = [];
  const commit = async () => {
    const links = batch;
    batch = [];
    if (!dryRun) await unlink(registry, links);
    gone.push(...links);
  };
  const { options } = registry;
  let looks = 0;
  for (const state of [...registry.records.repositories()]) {
    for (const [digest, hold] of state.holds) {
      if (++looks % looksPerTurn === 0) await nextTurn(undefined, { signal });
      if (hold.sizeBytes === null || hold.namedBy > 0 || hold.pins > 0 || hold.neededAt > options.now() - options.graceMs) continue;
      batch.push([state.name, digest]);
      if (!dryRun) registry.records.mirrorUnlink(state.name, digest);
      if (batch.length >= linksPerCommit) await commit();
    }
  }
  if (batch.length > 0) await commit();
  return gone;
}

async function unlink({ records }: Collected, links: readonly Link[]): Promise<void> {
  await records.writeUnlinks(links);
  failpoint('registry.collect-unlinked');
}

function isNeeded({ records, options }: Collected, digest: Digest): boolean {
  return records.isLinked(digest) || options.leases.holds(digest) || (options.neededElsewhere?.(digest) ?? false);
}

async function removeFiles(registry: Collected, signal: AbortSignal): Promise<{ removedBlobs: number; reclaimedBytes: number }> {
  const { blobs } = registry.options;
  let removedBlobs = 0;
  let reclaimedBytes = 0;
  let looks = 0;
  for (const digest of await blobs.list()) {
    if (++looks % looksPerTurn === 0) await nextTurn(undefined, { signal });
    if (isNeeded(registry, digest) || !blobs.has(digest)) continue;
    const sizeBytes = blobs.sizeBytes(digest);
    // Renamed away in the turn of the look.
    await blobs.delete(digest);
    removedBlobs++;
    reclaimedBytes += sizeBytes;
  }
  return { removedBlobs, reclaimedBytes };
}

/** What `removeFiles` would find, were the links gone. */
async function countFiles(
  registry: Collected,
  gone: readonly Link[],
  signal: AbortSignal,
): Promise<{ removedBlobs: number; reclaimedBytes: number }> {
  const { blobs, leases, neededElsewhere } = registry.options;
  const leaving = Map.groupBy(gone, ([, digest]) => digest);
  const linksOf = (digest: Digest) =>
    [...registry.records.repositories()].filter((state: RepositoryState) => state.linkedSize(digest) !== null).length;
  let removedBlobs = 0;
  let reclaimedBytes = 0;
  for (const digest of await blobs.list()) {
    signal.throwIfAborted();
    const goes = !registry.records.isLinked(digest) || (leaving.get(digest)?.length ?? 0) === linksOf(digest);
    if (!goes || leases.holds(digest) || neededElsewhere?.(digest) || !blobs.has(digest)) continue;
    removedBlobs++;
    reclaimedBytes += blobs.sizeBytes(digest);
  }
  return { removedBlobs, reclaimedBytes };
}
