/** The build cache as the API shows it: rows of `GET /system/df`, and what a prune took. */
import type { CacheUsage } from '../../build/cache/build-cache.ts';
import { formatTime } from '../../wire/timestamps.ts';

export function cacheRow(usage: CacheUsage, apiMinor: number): object {
  const { id, parents, type, description, inUse, shared, sizeBytes, createdAt, lastUsedAt, usageCount } = usage;
  return {
    ID: id,
    ...(apiMinor < 42 ? { Parent: parents[0] ?? '' } : parents.length === 0 ? {} : { Parents: parents }),
    Type: type,
    Description: description,
    InUse: inUse,
    Shared: shared,
    Size: sizeBytes,
    CreatedAt: formatTime(createdAt),
    LastUsedAt: lastUsedAt === null ? null : formatTime(lastUsedAt),
    UsageCount: usageCount,
  };
}

/** Each byte that only the cache has. */
export function ownCacheBytes(usage: readonly CacheUsage[]): number {
  return usage.reduce((sum, { shared, sizeBytes }) => sum + (shared ? 0 : sizeBytes), 0);
}
