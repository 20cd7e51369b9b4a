/** `docker image prune`: what no container uses and, unless all is asked for, nobody named. */

import { EngineError } from '../base/errors.ts';
import type { PruneFilters, RemovedImage } from './catalogue.ts';
import type { ImageRecord } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { childrenOf, removeImage } from './remove.ts';
import { isDigestKey } from './resolve.ts';

export async function pruneImages(
  store: ImageStore,
  filters: PruneFilters,
): Promise<{ readonly removed: readonly RemovedImage[]; readonly reclaimedBytes: number }> {
  const removed: RemovedImage[] = [];
  let reclaimedBytes = 0;
  for (const image of [...store.records.all()].filter((record) => isCandidate(store, record, filters))) {
    const references = store.records.referencesOf(image.id);
    for (const name of references.length === 0 ? [image.id] : references) {
      const outcome = await removeUnlessUsed(store, name);
      removed.push(...(outcome?.removed ?? []));
      reclaimedBytes += outcome?.reclaimedBytes ?? 0;
    }
  }
  if (isEverything(filters)) reclaimedBytes += (await store.blobs.partials.removeIdle()).reclaimedBytes;
  return { removed, reclaimedBytes };
}

/** Without any restriction: then what pulls that failed left for the next try goes too. */
function isEverything({ dangling, until, labels, withoutLabels }: PruneFilters): boolean {
  return !dangling && until === null && labels.length === 0 && withoutLabels.length === 0;
}

function isCandidate(store: ImageStore, image: ImageRecord, filters: PruneFilters): boolean {
  const { records } = store;
  if (store.users(image.id).length > 0) return false;
  const references = records.referencesOf(image.id);
  if (filters.dangling && references.some((reference) => !isDigestKey(reference))) return false;
  // What others stand on goes with the last of them.
  if ((filters.dangling || references.length === 0) && childrenOf(records, image.id).length > 0) return false;
  // When it got here, not the config's time: that is 1970 in reproducible images.
  if (filters.until && image.createdAt > filters.until) return false;
  const labels = image.config.config.Labels ?? {};
  return filters.labels.every((wanted) => hasLabel(labels, wanted)) && !filters.withoutLabels.some((wanted) => hasLabel(labels, wanted));
}

/** `key` or `key=value`. */
function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  const key = at === -1 ? wanted : wanted.slice(0, at);
  return Object.hasOwn(labels, key) && (at === -1 || labels[key] === wanted.slice(at + 1));
}

/** A container or a tag may have come since the look: then the image stays. */
async function removeUnlessUsed(store: ImageStore, name: string) {
  try {
    return await removeImage(store, name, { force: false, noPrune: false });
  } catch (thrown) {
    if (thrown instanceof EngineError && (thrown.code === 'conflict' || thrown.code === 'not-found')) return null;
    throw thrown;
  }
}
