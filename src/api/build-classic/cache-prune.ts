/** `POST /build/prune`: which records go. Filters that the cache does not know itself are applied to its list; what they leave is named by id. */
import { statfs } from 'node:fs/promises';
import { invalid } from '../../base/errors.ts';
import { parseUntil } from '../../base/until.ts';
import type { Builder } from '../../build/builder.ts';
import type { CachePruneOptions, CacheUsage } from '../../build/cache/build-cache.ts';
import { booleanFilter, type Filters, requireKnownFilters } from '../../wire/filters.ts';
import type { Exchange } from '../exchange.ts';
import { refuseParameter } from './json-parameters.ts';

const filterKeys = new Set(['until', 'unused-for', 'id', 'parent', 'type', 'description', 'inuse', 'shared', 'private']);

export interface Pruned {
  readonly deleted: readonly string[];
  readonly reclaimedBytes: number;
}

export async function pruneCache(exchange: Exchange, builder: Builder, dataRoot: string): Promise<Pruned> {
  const filters = exchange.filters();
  requireKnownFilters(filters, filterKeys);
  const unusedSince = sinceOf(filters);
  const spaces = {
    reserved: bytesOf(exchange, 'reserved-space') ?? bytesOf(exchange, 'keep-storage'),
    most: bytesOf(exchange, 'max-used-space'),
  };
  const free = bytesOf(exchange, 'min-free-space');
  const usage = await builder.cacheUsage();
  const total = usage.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const missing = free === null ? 0 : Math.max(0, free - (await freeBytes(dataRoot)));
  const ids = chosenIds(usage, filters);
  if (ids !== null && ids.length === 0) return { deleted: [], reclaimedBytes: 0 };
  const options: CachePruneOptions = {
    all: exchange.flag('all'),
    unusedSince,
    ids: ids ?? [],
    types: filters.type ?? [],
    keepBytes: keptBytes({ ...spaces, missing: free === null ? null : missing, total }),
  };
  return await builder.pruneCache(options);
}

export interface Spaces {
  /** Never less than this is kept. */
  readonly reserved: number | null;
  readonly most: number | null;
  /** On the disk to what shall be free; null: nothing was said of it. */
  readonly missing: number | null;
  /** What the cache has. */
  readonly total: number;
}

/** Null: nothing needs to stay. */
export function keptBytes({ reserved, most, missing, total }: Spaces): number | null {
  if (most === null && missing === null) return reserved;
  const kept = Math.min(most ?? total, total - (missing ?? 0));
  return Math.max(kept, reserved ?? 0, 0);
}

function bytesOf(exchange: Exchange, name: string): number | null {
  const bytes = exchange.integer(name);
  if (bytes === null || bytes === 0) return null;
  if (bytes < 0) throw refuseParameter(name, `${bytes} is negative`);
  return bytes;
}

function sinceOf(filters: Filters): Date | null {
  const texts = [...(filters.until ?? []), ...(filters['unused-for'] ?? [])];
  if (texts.length > 1) throw invalid('more than one until filter specified');
  return texts[0] === undefined ? null : new Date(parseUntil(texts[0], Date.now()));
}

/** Null: all of them. */
function chosenIds(usage: readonly CacheUsage[], filters: Filters): readonly string[] | null {
  const { id, parent, description } = filters;
  const flags = {
    inuse: booleanFilter(filters, 'inuse'),
    shared: booleanFilter(filters, 'shared'),
    private: booleanFilter(filters, 'private'),
  };
  const given = [id, parent, description].some((values) => values !== undefined) || Object.values(flags).some((flag) => flag !== null);
  if (!given) return null;
  const anyOf = (values: readonly string[] | undefined, matches: (value: string) => boolean) =>
    values === undefined || values.some(matches);
  const chosen = usage.filter(
    (record) =>
      anyOf(id, (value) => record.id.startsWith(value)) &&
      anyOf(parent, (value) => record.parents.some((each) => each.startsWith(value))) &&
      anyOf(description, (value) => record.description.includes(value)) &&
      (flags.inuse ?? record.inUse) === record.inUse &&
      (flags.shared ?? record.shared) === record.shared &&
      (flags.private ?? !record.shared) === !record.shared,
  );
  return chosen.map((record) => record.id);
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
