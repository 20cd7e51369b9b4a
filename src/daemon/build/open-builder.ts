/**
 * Puts the builder together over the daemon's stores, images and containers.
 *
 *     <data-root>/build/tmp        workspaces of steps and copies; emptied at boot
 *     <data-root>/build/steps      what running steps need on the host; ended and emptied at boot (containers)
 *     <data-root>/build/contexts   contexts: of running builds, and those that stay for the next one
 *     <data-root>/build/mounts     cache mounts
 *     <data-root>/build/history.json
 *
 * The cache owns its layers and blobs: it is known to the sweeper before anything is swept.
 */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Finding } from '../../base/finding.ts';
import type { Logger } from '../../base/log.ts';
import { createPackageThreads } from '../../build/attest/package-threads.ts';
import type { Builder } from '../../build/builder.ts';
import { createBuildCache } from '../../build/cache/create-build-cache.ts';
import { createContextStore } from '../../build/context/create-context-store.ts';
import { fileHistory } from '../../build/core/build-history.ts';
import { createBuilder } from '../../build/core/create-builder.ts';
import { createLayerWork } from '../../build/files/create-layer-work.ts';
import { createOutputs } from '../../build/output/create-outputs.ts';
import { createRunWork } from '../../build/run/create-run-work.ts';
import type { StepRunner } from '../../containers/steps/step.ts';
import type { RegistryClient, RegistrySettings } from '../../distribution/registry-client.ts';
import type { ImageStore } from '../../images/image-store.ts';
import { packed } from '../../images/layer-compression.ts';
import type { Transfers } from '../../images/transfers.ts';
import { hostPlatform } from '../../oci/platform.ts';
import type { Database } from '../../store/database.ts';
import type { LayerRef } from '../../store/layer-store.ts';
import type { OpenLayerStore } from '../../store/layers.ts';
import { engineVersion } from '../build-facts.ts';
import { auditBuild } from './audit-build.ts';
import { registryCache } from './registry-cache.ts';
import { createStepExecutor } from './step-executor.ts';

export interface OpenBuilderOptions {
  readonly dataRoot: string;
  readonly database: Database;
  readonly store: ImageStore;
  readonly layers: OpenLayerStore;
  readonly transfers: Transfers;
  readonly registryClient: Pick<RegistryClient, 'repository'>;
  readonly steps: StepRunner;
  /** Layer directories that containers stand on. */
  readonly containerLayers: () => ReadonlySet<string>;
  /** Of the cache; null: its default. */
  readonly cacheLimitBytes: number | null;
  /** Of contexts and sources that are fetched: those of registries. */
  readonly proxies: () => Proxies;
  readonly logger: Logger;
}

type Proxies = RegistrySettings['proxies'];

export interface OpenBuilder {
  readonly builder: Builder;
  audit(): Promise<readonly Finding[]>;
  close(): Promise<void>;
}

/** Steps at once, over all builds: each may use several processors, and several wait for the network. */
const mostSteps = 16;

export async function openBuilder(options: OpenBuilderOptions): Promise<OpenBuilder> {
  const { database, layers, logger, store, transfers } = options;
  const root = join(options.dataRoot, 'build');
  mkdirSync(root, { recursive: true, mode: 0o700 });
  await using cleanup = new AsyncDisposableStack();
  const cache = await createBuildCache({
    database,
    leases: store.leases,
    isThere: ({ layer, blob }) => store.blobs.has(blob.digest) && isUnpacked(layers, layer),
    inUse: () => {
      const { blobs, directories } = store.records.inUse();
      return { blobs, directories: directories.union(options.containerLayers()) };
    },
    sweep: () => store.sweeper.sweep(),
    mountRoot: join(root, 'mounts'),
    limitBytes: options.cacheLimitBytes,
    log: logger,
  });
  cleanup.defer(() => cache.close());
  const owner = { name: 'the build cache', holds: cache.holds, layerDirectories: () => cache.layerDirectories() };
  cleanup.defer(store.sweeper.addOwner(owner));
  const layerWork = createLayerWork({ layers, blobs: store.blobs, root: join(root, 'tmp'), logger });
  cleanup.defer(() => layerWork.close());
  const contexts = await createContextStore({ root, environment: () => withProxies(process.env, options.proxies()), logger });
  cleanup.defer(() => contexts.close());
  const executor = createStepExecutor(options.steps);
  const runs = createRunWork({ executor, layers, layerWork, cacheMounts: cache.mounts, scratch: join(root, 'tmp') });
  cleanup.defer(() => runs.close());
  const packages = createPackageThreads();
  cleanup.defer(() => packages.close());
  const builder = createBuilder({
    store,
    transfers,
    cache,
    layers: layerWork,
    runs,
    contexts,
    outputs: createOutputs({ store, transfers, exportTree: (...parameters) => layerWork.exportTree(...parameters) }),
    packages,
    registryCache: (reference, credentials) => registryCache(options.registryClient, reference, credentials),
    compress: (plain) => packed(plain, { kind: 'gzip', level: null }),
    host: hostPlatform(),
    version: engineVersion,
    limit: Math.min(mostSteps, Math.max(4, availableParallelism())),
    history: fileHistory(join(root, 'history.json'), logger),
    logger,
  });
  cleanup.defer(() => builder.close());
  const parts = cleanup.move();
  return {
    builder,
    audit: () => auditBuild({ root, isBusy: () => builder.isBusy }),
    close: () => parts.disposeAsync(),
  };
}

/** As programs read them; this machine's own addresses are never asked through one. */
function withProxies(environment: NodeJS.ProcessEnv, { http, https, noProxy }: Proxies): Readonly<Record<string, string | undefined>> {
  const exempt = [...noProxy, 'localhost', '127.0.0.1', '::1'].join(',');
  const names: Record<string, string | undefined> = { HTTP_PROXY: http ?? undefined, HTTPS_PROXY: https ?? undefined, NO_PROXY: exempt };
  const small = Object.fromEntries(Object.entries(names).map(([name, value]) => [name.toLowerCase(), value]));
  return { ...environment, ...names, ...small };
}

function isUnpacked(layers: OpenLayerStore, layer: LayerRef): boolean {
  try {
    layers.mountOrder([layer]);
    return true;
  } catch {
    return false;
  }
}
