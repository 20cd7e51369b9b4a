/** The registry of a root, put together: blob store, records, what rules say, upstreams that it is a cache of. For the server, and for commands that work on a root that nobody serves. */
import { join } from 'node:path';
import type { Digest } from '../../base/brand.ts';
import type { Logger } from '../../base/log.ts';
import { openUpstreams } from '../../registry/cache/open-upstreams.ts';
import { createPullThrough } from '../../registry/cache/pull-through.ts';
import type { RegistryConfiguration } from '../../registry/configuration/registry-configuration.ts';
import { createRegistry } from '../../registry/create-registry.ts';
import type { HealthCheck } from '../../registry/operation/health.ts';
import { immutableRefusal } from '../../registry/policy/immutable-tags.ts';
import { Retention } from '../../registry/policy/retention-run.ts';
import type { Registry, RegistryView } from '../../registry/registry.ts';
import { registryMigrations } from '../../registry/registry-migrations.ts';
import { createBlobStore } from '../../store/blobs.ts';
import { openDatabase } from '../../store/database.ts';
import { createLeases } from '../../store/leases.ts';
import { engineVersion } from '../build-facts.ts';
import { registryOptions } from '../registry-options.ts';
import { type SharedBlobs, SharedGarbage } from './shared-garbage.ts';

export interface OpenRegistry {
  readonly registry: Registry;
  /** For the web page: looking at it fetches nothing from upstreams. */
  readonly view: RegistryView;
  readonly retention: Retention;
  readonly checks: readonly HealthCheck[];
  close(): Promise<void>;
}

/** `configuration` is asked at each decision: a reload changes it. */
export async function openRegistry(
  root: string,
  configuration: () => RegistryConfiguration,
  logger: Logger,
  shared: SharedBlobs | null = null,
): Promise<OpenRegistry> {
  await using cleanup = new AsyncDisposableStack();
  const blobs = shared?.blobs ?? (await createBlobStore({ root: join(root, 'blobs') }));
  if (shared === null) cleanup.defer(() => blobs.close());
  const garbage = shared && new SharedGarbage(shared);
  const database = await openDatabase(join(root, 'registry.db'), { migrations: registryMigrations });
  const { garbageCollection, limits } = configuration();
  let retention: Retention | null = null;
  const local = await createRegistry({
    database,
    blobs,
    leases: shared?.leases ?? createLeases(),
    ...(shared === null || garbage === null
      ? {}
      : { mountElsewhere: shared.mountElsewhere, neededElsewhere: (digest: Digest) => garbage.isLeft(digest) }),
    root,
    graceMs: garbageCollection.graceMs,
    ...(limits.maxBlobSize === null ? {} : { blobLimitBytes: limits.maxBlobSize }),
    rules: {
      keepTag: (repository, tag, from, to) =>
        retention?.guard(repository, tag, from, to) ?? immutableRefusal(configuration().immutableTags, repository, tag, from, to),
      quotaBytes: (repository) => configuration().quotas.find((quota) => quota.repository.matches(repository))?.maxSize ?? null,
    },
  });
  const own = garbage === null ? local : garbage.over(local);
  // A cache closes what stands behind it.
  let closeRegistry = () => own.close();
  cleanup.defer(() => closeRegistry());
  // What came from elsewhere is the cache's to keep or not: rules are for what was pushed.
  retention = new Retention(own);
  const cached = await openCache(own, root, configuration(), logger);
  if (cached !== null) closeRegistry = cached.close;
  const opened = cleanup.move();
  return {
    registry: cached?.registry ?? own,
    view: cached?.registry.kept ?? own,
    retention,
    checks: [{ name: 'database', look: async () => void (await database.query('SELECT 1')) }],
    close: () => opened.disposeAsync(),
  };
}

/** Null: nothing comes from elsewhere. */
async function openCache(own: Registry, root: string, { upstreams, cache }: RegistryConfiguration, logger: Logger) {
  if (upstreams.length === 0) return null;
  const { proxies } = registryOptions(new Map(), process.env).settings;
  const opened = await openUpstreams(upstreams, { userAgent: `gantry-registry/${engineVersion}`, logger, proxies });
  const registry = await createPullThrough({ own, upstreams: opened.upstreams, root, maxBytes: cache.maxSize });
  const close = async () => {
    await registry.close();
    opened.close();
  };
  return { registry, close };
}
