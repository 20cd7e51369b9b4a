/** The caches that a build takes from and gives to beside the one of this daemon. Taking never fails a build: what can't be had is a warning. */

import type { ImageStore } from '../../images/image-store.ts';
import type { RegistryCredentials } from '../../images/transfers.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { ByteSource } from '../../store/blobs.ts';
import type { Lease } from '../../store/leases.ts';
import type { BuildClient } from '../build-client.ts';
import type { BuildRequest, CacheLocation } from '../build-request.ts';
import type { CacheMountName, CacheMounts, CacheRecord, NewCacheRecord } from '../cache/build-cache.ts';
import { cacheMountDigest } from '../cache/cache-mounts.ts';
import { type CacheSource, type CacheTarget, layoutSource } from '../cache-transfer/cache-place.ts';
import { type ExportedMount, exportCache } from '../cache-transfer/export-cache.ts';
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
  readonly cacheMounts: Pick<CacheMounts, 'pack'>;
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

  /** The record with its layer and blob here; null: nobody has it. */
  async find(key: string, below: Tree, signal: AbortSignal): Promise<NewCacheRecord | null> {
    const { request, lease } = this.#options;
    if (request.cacheFrom.length === 0) return null;
    this.#imported ??= this.#import();
    return await (await this.#imported).find(key, below, lease, signal);
  }

  /** What a cache mount starts with that this daemon does not have; null: nobody has it. */
  async mount(mount: CacheMountName, signal: AbortSignal): Promise<Tree | null> {
    const { request, lease } = this.#options;
    if (request.cacheFrom.length === 0) return null;
    this.#imported ??= this.#import();
    return await (await this.#imported).mount(cacheMountDigest(mount), lease, signal);
  }

  /** `own`: of the image's own steps; `all`: of every stage. */
  async export(own: readonly CacheRecord[], all: readonly CacheRecord[], used: readonly CacheMountName[]): Promise<void> {
    const { request, vertices, store, compress, lease, signal } = this.#options;
    for (const location of request.cacheTo) {
      if (location.type === 'inline') continue;
      const records = location.mode === 'max' ? all : own;
      try {
        await vertices.during(`exporting cache to ${nameOf(location)}`, async (vertex) => {
          const target = await this.#target(location);
          const onProgress = (done: number, total: number) => vertex.status(`writing layer ${done} of ${total}`, 0, 0, true);
          const mounts = location.mounts ? await this.#packMounts(used) : [];
          await exportCache(target, { records, mounts, lease, onProgress }, { blobs: store.blobs, compress }, signal);
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

  async #packMounts(used: readonly CacheMountName[]): Promise<readonly ExportedMount[]> {
    const { cacheMounts, store, lease, signal } = this.#options;
    const packed: ExportedMount[] = [];
    for (const mount of used) {
      const tar = cacheMounts.pack(mount);
      if (tar === null) {
        this.#warn(`the cache mount ${JSON.stringify(mount.id)} is not exported: another build has it alone, or it was pruned`);
        continue;
      }
      const staged = await store.blobs.stage(tar, { what: `the cache mount ${JSON.stringify(mount.id)}`, signal });
      await staged.commit(lease);
      packed.push({ id: cacheMountDigest(mount), blob: { digest: staged.digest, sizeBytes: staged.sizeBytes } });
    }
    return packed;
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

function nameOf({ type, reference }: CacheLocation): string {
  return reference ?? (type === 'local' ? 'client directory' : type);
}
