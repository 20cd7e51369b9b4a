/**
 * What the cache holds, what of it is the cache's alone, and which of it a prune takes. Pure: sizes and users are given.
 *
 * A layer or blob that several records own is counted with the one made first; one that an image has too is told as shared, as taking it from the cache frees nothing.
 */
import type { DiffId, Digest } from '../../base/brand.ts';
import type { CachePruneOptions, CacheUsage } from './build-cache.ts';
import type { MountInstance } from './cache-mounts.ts';
import type { StoredRecord } from './cache-records.ts';

/** What images, and whoever else, need of the layer and blob stores. */
export interface InUseElsewhere {
  readonly blobs: ReadonlySet<Digest>;
  readonly directories: ReadonlySet<string>;
}

export type CacheEntry =
  | { readonly kind: 'record'; readonly id: string; readonly record: StoredRecord; readonly isHeld: boolean }
  | { readonly kind: 'mount'; readonly id: string; readonly instance: MountInstance; readonly sizeBytes: number };

const idDigits = 25;

export function idOfRecord({ key }: StoredRecord): string {
  return key.slice(0, idDigits);
}

/** By the start of its digits, and its number. */
export function idOfMount({ name }: MountInstance): string {
  const number = name.slice(name.indexOf('/') + 1);
  return `${name.slice(0, idDigits - number.length)}${number}`;
}

export function usageOf(entries: readonly CacheEntry[], elsewhere: InUseElsewhere): readonly CacheUsage[] {
  const counted = new Set<string>();
  const byTop = Map.groupBy(
    entries.flatMap((entry) => (entry.kind === 'record' ? [entry] : [])),
    ({ record }) => record.layer.diffId,
  );
  const once = (name: string, sizeBytes: number) => {
    if (counted.has(name)) return 0;
    counted.add(name);
    return sizeBytes;
  };
  return entries.map((entry) => {
    if (entry.kind === 'mount') return usageOfMount(entry);
    const { id, record, isHeld } = entry;
    return {
      id,
      type: 'regular',
      description: record.description,
      sizeBytes: once(record.layer.directory, record.layer.sizeBytes) + once(record.blob.digest, record.blob.sizeBytes),
      shared: elsewhere.directories.has(record.layer.directory),
      inUse: isHeld,
      createdAt: record.createdAt,
      lastUsedAt: record.lastUsedAt,
      usageCount: record.useCount,
      parents: parentsOf(record, byTop),
    };
  });
}

function parentsOf({ below }: StoredRecord, byTop: ReadonlyMap<DiffId, readonly { readonly id: string }[]>): readonly string[] {
  return below === null ? [] : (byTop.get(below) ?? []).map(({ id }) => id);
}

function usageOfMount({ id, instance, sizeBytes }: CacheEntry & { readonly kind: 'mount' }): CacheUsage {
  return {
    id,
    type: 'exec.cachemount',
    description: `cached mount ${instance.id}`,
    sizeBytes,
    shared: false,
    inUse: instance.held !== null,
    createdAt: instance.createdAt,
    lastUsedAt: instance.lastUsedAt,
    usageCount: instance.useCount,
    parents: [],
  };
}

export interface PruneChoice {
  readonly entries: readonly CacheEntry[];
  readonly reclaimedBytes: number;
}

/** The longest unused first; what a build holds stays. */
export function chooseForPrune(entries: readonly CacheEntry[], elsewhere: InUseElsewhere, options: CachePruneOptions): PruneChoice {
  const owned = new OwnedBytes(entries, elsewhere);
  const chosen: CacheEntry[] = [];
  let reclaimedBytes = 0;
  for (const entry of entries.filter((each) => isWanted(each, elsewhere, options)).sort(byLastUse)) {
    if (options.keepBytes !== null) {
      if (owned.totalBytes <= options.keepBytes) break;
      // It would free nothing, and the next build would miss it.
      if (entry.kind === 'record' && elsewhere.directories.has(entry.record.layer.directory)) continue;
    }
    reclaimedBytes += owned.take(entry);
    chosen.push(entry);
  }
  return { entries: chosen, reclaimedBytes };
}

function isWanted(entry: CacheEntry, elsewhere: InUseElsewhere, { all, unusedSince, ids, types }: CachePruneOptions): boolean {
  const isRecord = entry.kind === 'record';
  if (isRecord ? entry.isHeld : entry.instance.held !== null) return false;
  if (types.length > 0 && !types.includes(isRecord ? 'regular' : 'exec.cachemount')) return false;
  if (ids.length > 0 && !ids.some((id) => id !== '' && entry.id.startsWith(id))) return false;
  if (unusedSince !== null && lastUseOf(entry) >= unusedSince.getTime()) return false;
  return all || !isRecord || !elsewhere.directories.has(entry.record.layer.directory);
}

function byLastUse(one: CacheEntry, other: CacheEntry): number {
  return lastUseOf(one) - lastUseOf(other);
}

function lastUseOf(entry: CacheEntry): number {
  return (entry.kind === 'record' ? entry.record : entry.instance).lastUsedAt.getTime();
}

/** Bytes on the disk that would be gone without the cache. */
class OwnedBytes {
  totalBytes = 0;
  readonly #elsewhere: InUseElsewhere;
  readonly #owners = new Map<string, number>();

  constructor(entries: readonly CacheEntry[], elsewhere: InUseElsewhere) {
    this.#elsewhere = elsewhere;
    for (const entry of entries) {
      for (const { name, sizeBytes } of this.#parts(entry)) {
        const owners = this.#owners.get(name) ?? 0;
        this.#owners.set(name, owners + 1);
        if (owners === 0) this.totalBytes += sizeBytes;
      }
    }
  }

  /** What goes with it. */
  take(entry: CacheEntry): number {
    let freedBytes = 0;
    for (const { name, sizeBytes } of this.#parts(entry)) {
      const owners = (this.#owners.get(name) ?? 0) - 1;
      this.#owners.set(name, owners);
      if (owners === 0) freedBytes += sizeBytes;
    }
    this.totalBytes -= freedBytes;
    return freedBytes;
  }

  #parts(entry: CacheEntry): readonly { readonly name: string; readonly sizeBytes: number }[] {
    if (entry.kind === 'mount') return [{ name: entry.instance.name, sizeBytes: entry.sizeBytes }];
    const { layer, blob } = entry.record;
    return [
      ...(this.#elsewhere.directories.has(layer.directory) ? [] : [{ name: layer.directory, sizeBytes: layer.sizeBytes }]),
      ...(this.#elsewhere.blobs.has(blob.digest) ? [] : [{ name: blob.digest, sizeBytes: blob.sizeBytes }]),
    ];
  }
}
