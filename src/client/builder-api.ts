import type { ApiClient, QueryValue } from './api-client.ts';
import { encodeFilters } from './filters.ts';
import type { BuildCacheRecord, DiskUsageAnswer, Filters, PruneAnswer } from './types.ts';

/** A build of the daemon, beyond Docker's API. */
export interface BuildRecordAnswer {
  readonly ID: string;
  readonly Name: string;
  readonly Status: 'running' | 'completed' | 'error' | 'canceled';
  readonly StartedAt: string;
  readonly CompletedAt: string | null;
  readonly Steps: number;
  readonly CachedSteps: number;
  readonly Warnings: number;
  readonly Error: string | null;
  readonly ImageID: string | null;
}

/** The build cache and the builds that there were; a build itself is `startBuild` (build-session.ts). */
export class BuilderApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  async cache(): Promise<readonly BuildCacheRecord[]> {
    const usage = await this.#client.json<DiskUsageAnswer>('GET', '/system/df', { query: { type: 'build-cache' } });
    return usage.BuildCache ?? [];
  }

  prune(query: {
    readonly all: boolean;
    readonly filters: Filters;
    readonly spaces?: Readonly<Record<string, QueryValue>>;
  }): Promise<PruneAnswer> {
    return this.#client.json('POST', '/build/prune', { query: { all: query.all, filters: encodeFilters(query.filters), ...query.spaces } });
  }

  /** Latest first. */
  history(): Promise<readonly BuildRecordAnswer[]> {
    return this.#client.json('GET', '/gantry/builds');
  }
}
