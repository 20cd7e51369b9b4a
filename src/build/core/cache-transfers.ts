/** The caches that a build takes from and gives to beside the one of this daemon. Taking never fails a build: what can't be had is a warning. */

import { notImplemented } from '../../base/errors.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { RegistryCredentials } from '../../images/transfers.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { BlobStore, ByteSource } from '../../store/blobs.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { BuildRequest, CacheLocation } from '../build-request.ts';
import type { CacheRecord, NewCacheRecord } from '../cache/build-cache.ts';
import { type CacheSource, type CacheTarget, layoutSource } from '../cache-transfer/cache-place.ts';
import { exportCache } from '../cache-transfer/export-cache.ts';
import { type ImportedCache, importCaches } from '../cache-transfer/import-cache.ts';
import { layoutTarget } from '../cache-transfer/layout-target.ts';
import type { ContextStore, HeldContext } from '../context/context-store.ts';
import type { Tree } from '../result.ts';
import type { Vertices } from './vertices.ts';

export type RegistryCache = (reference: string, credentials: RegistryCredentials | null) => CacheSource & CacheTarget;

export interface CacheTransfersOptions {
  readonly request: Pick<BuildRequest, 'cacheFrom' | 'cacheTo'>;
  readonly client: Pick<BuildClient, 'context' | 'output' | 'credentials'>;
  readonly store: Pick<ImageStore, 'blobs' | 'layers'>;
  readonly contexts: Pick<ContextStore, 'receive'>;
  readonly registryCache: RegistryCache;
  readonly compress: (plain: ByteSource) => ByteSource;
  readonly vertices: Vertices;
  readonly lease: Lease;
  readonly signal: AbortSignal;
}

/** Of an OCI layout, where nobody gives another. */
const layoutTag = 'latest';

export class CacheTransfers {
  readonly #options: CacheTransfersOptions;
  readonly #held: HeldContext[] = [];
  #imported: Promise<ImportedCache> | null = null;

  constructor(options: CacheTransfersOptions) {
    this.#options = options;
  }

  /** Before anything is built. */
  check(): void {
    const { cacheTo } = this.#options.request;
    if (cacheTo.some(({ mounts }) => mounts))
      throw notImplemented('--cache-to cannot take the content of cache mounts along yet: leave out mounts=true');
  }

  /** The record with its layer and blob here; null: nobody has it. */
  async find(key: string, below: Tree, signal: AbortSignal): Promise<NewCacheRecord | null> {
    const { request, lease } = this.#options;
    if (request.cacheFrom.length === 0) return null;
    this.#imported ??= this.#import();
    return await (await this.#imported).find(key, below, lease, signal);
  }

  /** `own`: of the image's own steps; `all`: of every stage. */
  async export(own: readonly CacheRecord[], all: readonly CacheRecord[]): Promise<void> {
    const { request, vertices, store, compress, lease, signal } = this.#options;
    for (const location of request.cacheTo) {
      if (location.type === 'inline') continue;
      const records = location.mode === 'max' ? all : own;
      try {
        await vertices.during(`exporting cache to ${nameOf(location)}`, async (vertex) => {
          const target = await this.#target(location);
          const onProgress = (done: number, total: number) => vertex.status('writing layers', done, total, done === total);
          await exportCache(target, { records, mounts: [], lease, onProgress }, { blobs: store.blobs as BlobStore, compress }, signal);
        });
      } catch (error) {
        signal.throwIfAborted();
        if (!location.ignoreErrors) throw error;
        this.#warn(`the build cache was not exported to ${nameOf(location)}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  async release(): Promise<void> {
    await Promise.all(this.#held.map((held) => held.release()));
  }

  async #import(): Promise<ImportedCache> {
    const { request, store, vertices, signal } = this.#options;
    return await vertices.during(`importing cache manifest from ${request.cacheFrom.map(nameOf).join(', ')}`, async () => {
      const sources = await Promise.all(request.cacheFrom.map((location) => this.#source(location)));
      const parts = { blobs: store.blobs, layers: store.layers, warn: (text: string) => this.#warn(text) };
      return await importCaches(
        sources.filter((source) => source !== null),
        parts,
        signal,
      );
    });
  }

  async #source(location: CacheLocation): Promise<CacheSource | null> {
    const { client, contexts, signal } = this.#options;
    try {
      if (location.type !== 'local') return await this.#registry(location);
      const transfer = await client.context(location.client ?? '', signal);
      const held = await contexts.receive(transfer, () => {}, signal);
      this.#held.push(held);
      return layoutSource(held.files.directory, layoutTag, nameOf(location));
    } catch (error) {
      signal.throwIfAborted();
      this.#warn(`the build cache ${nameOf(location)} is not used: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }

  async #target(location: CacheLocation): Promise<CacheTarget> {
    const { client, signal } = this.#options;
    if (location.type === 'registry') return await this.#registry(location);
    return layoutTarget(await client.output(location.client ?? '', signal), layoutTag, nameOf(location));
  }

  async #registry({ reference }: CacheLocation): Promise<CacheSource & CacheTarget> {
    const { client, registryCache, signal } = this.#options;
    const parsed = withDefaultTag(parseReference(reference ?? ''));
    return registryCache(canonicalReference(parsed), await client.credentials(parsed.domain, signal));
  }

  #warn(short: string): void {
    const detail = 'The build goes on without it.';
    this.#options.vertices.warn({ rule: '', short, detail, url: '', place: null, vertex: '' });
  }
}

function nameOf({ type, reference, client }: CacheLocation): string {
  return reference ?? client ?? type;
}
