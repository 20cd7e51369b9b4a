/** The build cache for `buildx du` and `buildx prune`. */
import { statfs } from 'node:fs/promises';
import { invalid } from '../../../base/errors.ts';
import type { Builder } from '../../../build/builder.ts';
import type { CacheUsage } from '../../../build/cache/build-cache.ts';
import { keptBytes } from '../../build-classic/cache-prune.ts';
import { type PruneRequest, timestampOf, type UsageRecord } from '../messages/control.ts';
import type { MessageOf } from '../protobuf/message.ts';

type Usage = Partial<MessageOf<typeof UsageRecord>>;

export function usageRecords(usage: readonly CacheUsage[], filters: readonly string[]): readonly Usage[] {
  return usage.filter((record) => isChosen(record, filters)).map(recordOf);
}

export async function pruneCache(
  request: MessageOf<typeof PruneRequest>,
  builder: Builder,
  dataRoot: string,
): Promise<{ readonly records: readonly Usage[]; readonly reclaimedBytes: number }> {
  const usage = await builder.cacheUsage();
  const chosen = request.filter.length === 0 ? null : usage.filter((record) => isChosen(record, request.filter)).map(({ id }) => id);
  if (chosen?.length === 0) return { records: [], reclaimedBytes: 0 };
  const { deleted, reclaimedBytes } = await builder.pruneCache({
    all: request.all,
    unusedSince: request.keepDuration > 0 ? new Date(Date.now() - request.keepDuration / 1_000_000) : null,
    ids: chosen ?? [],
    types: [],
    keepBytes: await kept(request, usage, dataRoot),
  });
  const gone = new Set(deleted);
  return { records: usage.filter(({ id }) => gone.has(id)).map(recordOf), reclaimedBytes };
}

async function kept(request: MessageOf<typeof PruneRequest>, usage: readonly CacheUsage[], dataRoot: string): Promise<number | null> {
  const said = (bytes: number) => (bytes > 0 ? bytes : null);
  const total = usage.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const free = said(request.minFreeSpace);
  const missing = free === null ? null : Math.max(0, free - (await freeBytes(dataRoot)));
  return keptBytes({ reserved: said(request.reservedSpace), most: said(request.maxUsedSpace), missing, total });
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

function recordOf(usage: CacheUsage): Usage {
  const { id, inUse, sizeBytes, createdAt, lastUsedAt, usageCount, description, type, shared, parents } = usage;
  return {
    id,
    mutable: type !== 'regular',
    inUse,
    sizeBytes,
    createdAt: timestampOf(createdAt),
    lastUsedAt: lastUsedAt === null ? null : timestampOf(lastUsedAt),
    usageCount,
    description,
    recordType: type,
    shared,
    parents,
  };
}

/** containerd's filters: each is a list of conditions that all hold; one of the filters has to. */
function isChosen(usage: CacheUsage, filters: readonly string[]): boolean {
  return filters.length === 0 || filters.some((filter) => filter.split(',').every((condition) => holds(usage, condition.trim())));
}

const facts: Readonly<Record<string, (usage: CacheUsage) => string | boolean | readonly string[]>> = {
  id: ({ id }) => id,
  parents: ({ parents }) => parents,
  description: ({ description }) => description,
  type: ({ type }) => type,
  inuse: ({ inUse }) => inUse,
  mutable: ({ type }) => type !== 'regular',
  immutable: ({ type }) => type === 'regular',
  shared: ({ shared }) => shared,
  private: ({ shared }) => !shared,
};

function holds(usage: CacheUsage, condition: string): boolean {
  const [, key = '', operator = '', written = ''] = /^([a-z]+)(?:(==|!=|~=)(.*))?$/.exec(condition) ?? [];
  const fact = Object.hasOwn(facts, key) ? facts[key] : undefined;
  if (fact === undefined)
    throw invalid(`invalid filter ${JSON.stringify(condition)}: use ${Object.keys(facts).join(', ')} with ==, != or ~=`);
  const value = fact(usage);
  const wanted = /^"(.*)"$/.exec(written)?.[1] ?? written;
  if (operator === '') return value === true || (typeof value !== 'boolean' && value.length > 0);
  const values = typeof value === 'object' ? value : [String(value)];
  if (operator === '!=') return !values.includes(wanted);
  return values.some((each) => (operator === '==' ? each === wanted : each.includes(wanted)));
}
