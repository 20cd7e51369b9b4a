/**
 * A registry some of whose repositories come from others: those that an upstream's prefix covers are a cache (cached-repository.ts, in a store of its own), the rest is the registry that
 * it stands before.
 */
import { join } from 'node:path';
import { checkRepositoryName } from '../names.ts';
import type { Page, PageOf, Registry, RegistryEvent, RegistryRepository, RegistryStats, RegistryView } from '../registry.ts';
import { CacheStore } from './cache-store.ts';
import { type CacheContext, CachedRepository } from './cached-repository.ts';
import { KeptRepository } from './kept-repository.ts';
import { ShortMemory } from './short-memory.ts';
import { type UpstreamOptions, Upstreams } from './upstream.ts';

export interface PullThroughOptions {
  /** What was pushed. Closed with this one. */
  readonly own: Registry;
  readonly upstreams: readonly UpstreamOptions[];
  /** Its folder. */
  readonly root: string;
  /** Of all that is kept; null: no limit. */
  readonly maxBytes: number | null;
  readonly now?: () => number;
}

export interface PullThroughRegistry extends Registry {
  /** As it lies here: nothing is asked of upstream. */
  readonly kept: RegistryView;
}

const absenceMs = 10_000;
const memoryLimit = 10_000;
const listsLimit = 500;

export async function createPullThrough(options: PullThroughOptions): Promise<PullThroughRegistry> {
  const { root, maxBytes, now = Date.now } = options;
  const store = await CacheStore.open({ root: join(root, 'cache'), maxBytes, now });
  return new PullThrough(options.own, new Upstreams(options.upstreams, now), store, now);
}

class PullThrough implements PullThroughRegistry {
  readonly kept: RegistryView;
  readonly #own: Registry;
  readonly #upstreams: Upstreams;
  readonly #store: CacheStore;
  readonly #context: CacheContext;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(event: RegistryEvent) => void>();

  constructor(own: Registry, upstreams: Upstreams, store: CacheStore, now: () => number) {
    this.#own = own;
    this.#upstreams = upstreams;
    this.#store = store;
    this.#context = {
      store,
      checkedAt: new Map(),
      asking: new Map(),
      fetching: new Map(),
      absent: new ShortMemory({ limit: memoryLimit, defaultMs: absenceMs, now }),
      lists: new ShortMemory({ limit: listsLimit, defaultMs: absenceMs, now }),
      upstreamOf: (name) => upstreams.placeOf(name)?.upstream ?? null,
      emit: (event) => this.#emit({ ...event, at: new Date(now()) }),
      now,
      closing: this.#closing.signal,
    };
    this.kept = {
      repositories: (page) => this.repositories(page),
      repository: (name) => {
        const place = upstreams.placeOf(checkRepositoryName(name));
        return place === null ? own.repository(name) : new KeptRepository(name, place, store);
      },
    };
  }

  repositories(page: Page): PageOf<string> {
    const pages = [this.#own.repositories(page), this.#store.records.repositoryNames.page(page)];
    const entries = [...new Set(pages.flatMap((each) => each.entries))].sort((one, other) => (one < other ? -1 : 1));
    return { entries: entries.slice(0, page.limit), more: entries.length > page.limit || pages.some(({ more }) => more) };
  }

  repository(name: string): RegistryRepository {
    const place = this.#upstreams.placeOf(checkRepositoryName(name));
    return place === null ? this.#own.repository(name) : new CachedRepository(name, place, this.#context);
  }

  onEvent(listener: (event: RegistryEvent) => void): () => void {
    this.#listeners.add(listener);
    const stop = this.#own.onEvent(listener);
    return () => {
      stop();
      this.#listeners.delete(listener);
    };
  }

  async collectGarbage(options: { readonly dryRun?: boolean; readonly signal?: AbortSignal } = {}) {
    const own = await this.#own.collectGarbage(options);
    if (options.dryRun) return own;
    const cached = await this.#store.removeStrangers();
    return { ...own, removedBlobs: own.removedBlobs + cached.removedBlobs, reclaimedBytes: own.reclaimedBytes + cached.reclaimedBytes };
  }

  async check(onFinding: Parameters<Registry['check']>[0], signal?: AbortSignal) {
    const own = await this.#own.check(onFinding, signal);
    const cached = await this.#store.check(onFinding, AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]));
    return { blobs: own.blobs + cached.blobs, bytes: own.bytes + cached.bytes };
  }

  stats(): RegistryStats {
    const own = this.#own.stats();
    const cached = this.#store.records.counts;
    return {
      repositories: own.repositories + cached.repositories,
      manifests: own.manifests + cached.manifests,
      blobs: own.blobs + cached.blobs,
      blobBytes: own.blobBytes + cached.blobBytes,
      openUploads: own.openUploads,
    };
  }

  needsBlob(...parameters: Parameters<Registry['needsBlob']>): boolean {
    return this.#own.needsBlob(...parameters);
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the registry is being closed'));
    await Promise.all([...this.#context.fetching.values()].map((fetch) => fetch.settled()));
    await Promise.allSettled(this.#context.asking.values());
    await this.#store.close();
    await this.#own.close();
  }

  #emit(event: RegistryEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
