/** The registry of a root, put together: blob store, records, what rules say. For the server, and for commands that work on a root that nobody serves. */
import { join } from 'node:path';
import type { RegistryConfiguration } from '../../registry/configuration/registry-configuration.ts';
import { createRegistry } from '../../registry/create-registry.ts';
import type { HealthCheck } from '../../registry/operation/health.ts';
import { immutableRefusal } from '../../registry/policy/immutable-tags.ts';
import { Retention } from '../../registry/policy/retention-run.ts';
import type { Registry } from '../../registry/registry.ts';
import { registryMigrations } from '../../registry/registry-migrations.ts';
import { createBlobStore } from '../../store/blobs.ts';
import { openDatabase } from '../../store/database.ts';
import { createLeases } from '../../store/leases.ts';

export interface OpenRegistry {
  readonly registry: Registry;
  readonly retention: Retention;
  readonly checks: readonly HealthCheck[];
  close(): Promise<void>;
}

/** `configuration` is asked at each decision: a reload changes it. */
export async function openRegistry(root: string, configuration: () => RegistryConfiguration): Promise<OpenRegistry> {
  await using cleanup = new AsyncDisposableStack();
  const blobs = await createBlobStore({ root: join(root, 'blobs') });
  cleanup.defer(() => blobs.close());
  const database = await openDatabase(join(root, 'registry.db'), { migrations: registryMigrations });
  const { garbageCollection, limits } = configuration();
  let retention: Retention | null = null;
  const registry = await createRegistry({
    database,
    blobs,
    leases: createLeases(),
    root,
    graceMs: garbageCollection.graceMs,
    ...(limits.maxBlobSize === null ? {} : { blobLimitBytes: limits.maxBlobSize }),
    rules: {
      keepTag: (repository, tag, from, to) =>
        retention?.guard(repository, tag, from, to) ?? immutableRefusal(configuration().immutableTags, repository, tag, from, to),
      quotaBytes: (repository) => configuration().quotas.find((quota) => quota.repository.matches(repository))?.maxSize ?? null,
    },
  });
  cleanup.defer(() => registry.close());
  retention = new Retention(registry);
  const opened = cleanup.move();
  return {
    registry,
    retention,
    checks: [{ name: 'database', look: async () => void (await database.query('SELECT 1')) }],
    close: () => opened.disposeAsync(),
  };
}
