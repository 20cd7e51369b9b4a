/**
 * The cache of `build-cache.ts` over database, layer store and blob store.
 *
 * It owns what its records name (`layerDirectories`, `holds`: register it with the sweeper before the first sweep), never removes a file of theirs itself, and keeps to its limit by letting
 * go of what was unused longest.
 */
import { mkdirSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { errorText } from '../../base/errors.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import type { Database } from '../../store/database.ts';
import type { Leases } from '../../store/leases.ts';
import type { BuildCache, CachePruneOptions, CacheRecord } from './build-cache.ts';
import { cacheKeyOf } from './cache-key.ts';
import { type MountInstance, StoredCacheMounts } from './cache-mounts.ts';
import { CacheRecords, type Owned } from './cache-records.ts';
import { type CacheEntry, chooseForPrune, type InUseElsewhere, idOfMount, idOfRecord, usageOf } from './cache-usage.ts';
import { changesBetween } from './explain-step.ts';
import { PlaceMemory } from './place-memory.ts';

export interface BuildCacheOptions {
  readonly database: Database;
  readonly leases: Leases;
  /** Whether the layer directory and the blob are there. */
  readonly isThere: (owned: Owned) => boolean;
  /** What images (and containers) need: `ImageRecords.inUse`. */
  readonly inUse: () => InUseElsewhere;
  /** Takes away what nobody owns any more. */
  readonly sweep: () => Promise<void>;
  /** `<data-root>/build/mounts` */
  readonly mountRoot: string;
  /** Null: a tenth of the disk, 20 GiB at most. */
  readonly limitBytes?: number | null;
  /** The bundle's path of `cache-mount-worker.ts`, where it is not beside this file. */
  readonly workerEntry?: URL;
  readonly log?: Logger;
}

const mostBytes = 20 * 1024 ** 3;
const mostRecords = 20_000;
const limitDelayMs = 1000;

export async function createBuildCache(options: BuildCacheOptions): Promise<BuildCache> {
  const { database, log = silentLogger } = options;
  mkdirSync(options.mountRoot, { recursive: true, mode: 0o700 });
  const limitBytes = options.limitBytes ?? (await defaultLimit(options.mountRoot));
  const records = await CacheRecords.load(database, log, options.isThere);
  let released = () => {};
  const workerEntry = options.workerEntry ?? new URL('./cache-mount-worker.ts', import.meta.url);
  const mounts = await StoredCacheMounts.open({ root: options.mountRoot, database, log, workerEntry, released: () => released() });
  const cache = new StoredCache({ ...options, limitBytes, log }, records, mounts, new PlaceMemory(database, log));
  released = () => cache.grew();
  cache.grew();
  return cache;
}

async function defaultLimit(directory: string): Promise<number> {
  const { blocks, bsize } = await statfs(directory);
  return Math.min(mostBytes, Math.floor((blocks * bsize) / 10));
}

type Settings = BuildCacheOptions & { readonly limitBytes: number; readonly log: Logger };

class StoredCache implements BuildCache {
  readonly mounts: StoredCacheMounts;
  readonly #settings: Settings;
  readonly #records: CacheRecords;
  readonly #places: PlaceMemory;
  #limitTimer: NodeJS.Timeout | null = null;
  #limiting: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(settings: Settings, records: CacheRecords, mounts: StoredCacheMounts, places: PlaceMemory) {
    this.#settings = settings;
    this.#records = records;
    this.mounts = mounts;
    this.#places = places;
  }

  keyOf: BuildCache['keyOf'] = cacheKeyOf;

  find: BuildCache['find'] = async ({ digest }, lease) => {
    const record = this.#records.get(digest);
    if (record === undefined) return null;
    // Held first, looked for after, in one turn: a sweep can't come between.
    lease.hold(record.blob.digest);
    lease.holdLayer(record.layer.directory);
    if (this.#settings.isThere(record)) return this.#records.touch(digest) ?? null;
    this.#settings.log.warn(
      { layer: record.layer.directory, blob: record.blob.digest },
      'the build cache has lost a layer: its step runs again',
    );
    this.#records.dropLost(digest);
    return null;
  };

  add: BuildCache['add'] = async (key, made, options) => {
    const first = this.#records.get(key.digest);
    if (first !== undefined && options?.replace !== true && this.#settings.isThere(first)) return this.#records.touch(key.digest) ?? first;
    const record: CacheRecord = await this.#records.add(key, made);
    this.grew();
    return record;
  };

  explain: BuildCache['explain'] = async (key, outcome) => {
    const found = await this.#places.exchange(key);
    const cached = outcome === 'hit';
    if (outcome === 'no-cache') return { cached, reasons: ['--no-cache'] };
    if (found === null) return { cached, reasons: [cached ? 'the same step was built before, elsewhere' : 'never built before'] };
    const { before, isOther } = found;
    if (before.key === key.digest)
      return { cached, reasons: [cached ? 'nothing changed' : 'its last build failed, or its result is not in the cache any more'] };
    const changes = changesBetween(before.parts, key.parts);
    // Of another instruction the rest says nothing.
    const told = isOther ? changes.slice(0, 1) : changes;
    return { cached, reasons: cached ? ['built like this before', ...told] : told.length === 0 ? ['its inputs changed'] : told };
  };

  usage: BuildCache['usage'] = async () => usageOf(this.#entries(await this.#mountSizes()), this.#settings.inUse());

  prune: BuildCache['prune'] = async (options) => {
    const { removed, reclaimedBytes } = await this.#prune(options);
    return { deleted: removed.map(({ id }) => id), reclaimedBytes };
  };

  layerDirectories(): ReadonlySet<string> {
    return this.#records.directories();
  }

  holds: BuildCache['holds'] = (blob) => this.#records.hasBlob(blob);

  /** Looks after the limit, soon. */
  grew(): void {
    if (this.#closed) return;
    this.#limitTimer ??= setTimeout(() => {
      this.#limitTimer = null;
      this.#limiting = this.#limiting.then(() => this.#keepLimit());
    }, limitDelayMs).unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#limitTimer !== null) clearTimeout(this.#limitTimer);
    await this.#limiting;
    await Promise.all([this.#records.close(), this.#places.close(), this.mounts.close()]);
  }

  async #keepLimit(): Promise<void> {
    const { limitBytes, log } = this.#settings;
    try {
      const everything: CachePruneOptions = { all: true, unusedSince: null, ids: [], types: [], keepBytes: limitBytes };
      const { removed, reclaimedBytes } = await this.#prune(everything, true);
      if (removed.length > 0) log.info({ removed: removed.length, reclaimedBytes, limitBytes }, 'the build cache was over its limit');
      await this.#keepCount();
    } catch (cause) {
      log.warn({ cause: errorText(cause) }, 'the build cache cannot be kept to its limit');
    }
  }

  /** Of layers that hold nothing, or that images have too, any number fits the limit. */
  async #keepCount(): Promise<void> {
    const excess = this.#records.size - mostRecords;
    if (excess <= 0) return;
    const free = this.#records.all().filter((record) => !this.#isHeld(record));
    const oldest = free.sort((one, other) => one.lastUsedAt.getTime() - other.lastUsedAt.getTime()).slice(0, excess);
    const keys = oldest.map(({ key }) => key);
    this.#records.drop(keys);
    await this.#settings.sweep();
    await this.#records.deleteRows(keys);
  }

  /** `isRough`: the sizes of mounts that are held may be old ones. */
  async #prune(
    options: CachePruneOptions,
    isRough = false,
  ): Promise<{ readonly removed: readonly CacheEntry[]; readonly reclaimedBytes: number }> {
    const sizes = await this.#mountSizes(isRough);
    // In one turn from the look to the removal: what is free can't be held before it is gone.
    const choice = chooseForPrune(this.#entries(sizes), this.#settings.inUse(), options);
    const keys = choice.entries.flatMap((entry) => (entry.kind === 'record' ? [entry.record.key] : []));
    this.#records.drop(keys);
    const mounts = this.mounts.remove(choice.entries.flatMap((entry) => (entry.kind === 'mount' ? [entry.instance] : [])));
    // Files first: a full disk has no space for the news that something is gone.
    await Promise.all([keys.length > 0 ? this.#settings.sweep() : null, mounts]);
    await this.#records.deleteRows(keys);
    return { removed: choice.entries, reclaimedBytes: choice.reclaimedBytes };
  }

  async #mountSizes(isRough = false): Promise<ReadonlyMap<MountInstance, number>> {
    const instances = this.mounts.instances();
    return new Map(await Promise.all(instances.map(async (instance) => [instance, await this.mounts.sizeOf(instance, isRough)] as const)));
  }

  /** The one made first comes first. */
  #entries(sizes: ReadonlyMap<MountInstance, number>): readonly CacheEntry[] {
    const records = this.#records
      .all()
      .map((record): CacheEntry => ({ kind: 'record', id: idOfRecord(record), record, isHeld: this.#isHeld(record) }));
    const mounts = [...sizes].map(([instance, sizeBytes]): CacheEntry => ({ kind: 'mount', id: idOfMount(instance), instance, sizeBytes }));
    return [...records, ...mounts];
  }

  #isHeld({ layer, blob }: Owned): boolean {
    return this.#settings.leases.holdsLayer(layer.directory) || this.#settings.leases.holds(blob.digest);
  }
}
