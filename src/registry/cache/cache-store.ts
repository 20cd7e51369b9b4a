/**
 * What the cache keeps, apart from what people pushed: it may all go at any time, and comes again when it is asked for.
 *
 *     <root>/cache.db         manifests, tags, and which repository has which blob (the registry's records, in a database of their own)
 *     <root>/blobs/           the blobs
 *     <root>/uploads/<hex>    on their way from upstream; one that a kill cut goes on where it was
 *
 * Within `maxBytes`: what was used longest ago goes first. Manifests are small and stay.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../base/brand.ts';
import { digestFromHex, digestOf } from '../../oci/digest.ts';
import { isObject, parseJsonObject } from '../../oci/json.ts';
import { type BlobStore, createBlobStore } from '../../store/blobs.ts';
import { openDatabase } from '../../store/database.ts';
import { createLeases } from '../../store/leases.ts';
import { checkRegistry } from '../check-registry.ts';
import { ManifestCache } from '../manifest-cache.ts';
import { readPushedManifest } from '../pushed-manifest.ts';
import type { GarbageReport, RegistryFinding, StoredBlob, StoredManifest } from '../registry.ts';
import { registryMigrations } from '../registry-migrations.ts';
import { RegistryRecords } from '../registry-records.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import type { RepositoryState } from '../repository-state.ts';
import { UploadFiles } from '../upload-files.ts';
import type { FetchWork } from './blob-fetch.ts';
import { Portions } from './portions.ts';

export interface CacheStoreOptions {
  readonly root: string;
  /** Null: as much as the disk takes. */
  readonly maxBytes: number | null;
  readonly now: () => number;
}

const hotManifestBytes = 32 * 1024 * 1024;
const streamBatchBytes = 512 * 1024;
/** Down to this part of the limit, so that not every new blob has to look for what goes. */
const evictTo = 0.9;
/** A fetch that was cut is kept for so long. */
const partialPatienceMs = 7 * 24 * 3_600_000;
/** When upstream pauses for so long, what came is written for those who wait for it. */
const writePauseMs = 20;
const portionBytes = 8 * 1024 * 1024;
/** Notes of use are written down no more often than this. */
const useNoteMs = 60_000;

export class CacheStore {
  readonly records: RegistryRecords;
  readonly #options: CacheStoreOptions;
  readonly #blobs: BlobStore;
  readonly #files: UploadFiles;
  readonly #leases = createLeases();
  readonly #hot = new ManifestCache(hotManifestBytes);

  static async open(options: CacheStoreOptions): Promise<CacheStore> {
    const { root } = options;
    const database = await openDatabase(join(root, 'cache.db'), { migrations: registryMigrations });
    const records = new RegistryRecords(database);
    await records.load();
    const store = new CacheStore(options, records, await createBlobStore({ root: join(root, 'blobs') }));
    await store.#removeOld(await store.#files.open());
    await store.removeStrangers();
    await store.#evict(null);
    return store;
  }

  private constructor(options: CacheStoreOptions, records: RegistryRecords, blobs: BlobStore) {
    this.#options = options;
    this.records = records;
    this.#blobs = blobs;
    this.#files = new UploadFiles(join(options.root, 'uploads'));
  }

  /** What nobody asked for again. */
  async #removeOld(partials: readonly string[]): Promise<void> {
    for (const id of partials) {
      const { changedAt } = await this.#files.facts(id);
      if (changedAt < Date.now() - partialPatienceMs) await this.#files.remove(id);
    }
  }

  repository(name: string): RepositoryState | null {
    return this.records.repository(name);
  }

  async manifest(name: string, digest: Digest): Promise<StoredManifest | null> {
    const found = this.repository(name)?.manifests.get(digest);
    if (found === undefined) return null;
    const hot = this.#hot.get(digest, found.mediaType);
    if (hot !== undefined) return hot;
    const bytes = await this.records.manifestBytes(digest);
    // A damaged record is as good as none: it comes again.
    if (bytes === null || digestOf(bytes) !== digest) return null;
    const stored = { digest, mediaType: found.mediaType, bytes, subject: found.subject };
    this.#hot.put(stored);
    return stored;
  }

  async keepManifest(name: string, tag: string | null, mediaType: string, bytes: Buffer): Promise<StoredManifest> {
    const digest = digestOf(bytes);
    const manifest = readPushedManifest(bytes, mediaType);
    await this.records.putManifest({ repository: name, digest, bytes, manifest, tags: tag === null ? [] : [tag], at: this.#options.now() });
    const stored = { digest, mediaType: manifest.mediaType, bytes, subject: manifest.subject };
    this.#hot.put(stored);
    return stored;
  }

  /** Null: not here. */
  blob(name: string, digest: Digest): StoredBlob | null {
    const sizeBytes = this.repository(name)?.linkedSize(digest) ?? null;
    if (sizeBytes === null || !this.#blobs.has(digest)) return null;
    this.#note(name, digest);
    const path = this.#blobs.path(digest);
    const stream = (start: number, end: number) => createReadStream(path, { start, end: end - 1, highWaterMark: streamBatchBytes });
    return { digest, sizeBytes, path, stream: (start, end) => (end <= start ? nothing() : stream(start, end)) };
  }

  /** What a manifest of the repository says of it; null: none names it. */
  async namedSize(name: string, digest: Digest): Promise<number | null> {
    const state = this.repository(name);
    if (state === null || !(state.holds.get(digest)?.namedBy ?? 0)) return null;
    for (const manifest of state.manifests.values()) {
      if (!manifest.names.includes(digest)) continue;
      const stored = await this.manifest(name, manifest.digest);
      const size = stored && sizeIn(stored.bytes, digest);
      if (size !== null) return size;
    }
    return null;
  }

  /** Another repository of the cache has it, and upstream says that this one does, too. */
  async linkKnown(name: string, from: string, digest: Digest): Promise<StoredBlob | null> {
    const sizeBytes = this.repository(from)?.linkedSize(digest) ?? null;
    using lease = this.#leases.acquire();
    lease.hold(digest);
    if (sizeBytes === null || !this.#blobs.has(digest)) return null;
    await this.records.link(name, digest, sizeBytes, this.#options.now(), null);
    return this.blob(name, digest);
  }

  /** Repositories that have it. */
  holders(digest: Digest): readonly string[] {
    if (!this.records.isLinked(digest)) return [];
    return [...this.records.repositories()].filter((state) => state.linkedSize(digest) !== null).map(({ name }) => name);
  }

  /** `bring` gives the bytes from an offset on. */
  async beginFetch(
    name: string,
    digest: Digest,
    sizeBytes: number,
    bring: (offsetBytes: number) => AsyncIterable<Uint8Array>,
  ): Promise<FetchWork> {
    const id = createHash('sha256').update(`${name} ${digest}`).digest('hex');
    const path = this.#files.path(id);
    await (await open(path, 'a', 0o600)).close();
    let startsAt = (await this.#files.facts(id)).sizeBytes;
    if (startsAt > sizeBytes) {
      await this.#files.remove(id);
      await (await open(path, 'a', 0o600)).close();
      startsAt = 0;
    }
    const run = async (grown: (bytes: number) => void) => {
      await this.#write(id, new Portions(bring(startsAt), { pauseMs: writePauseMs, mostBytes: portionBytes }), grown);
      await this.#keep(id, name, digest, sizeBytes);
    };
    return { path, keptPath: this.#blobs.path(digest), startsAt, run };
  }

  async #write(id: string, source: Portions, grown: (bytes: number) => void): Promise<void> {
    try {
      while (!source.ended) await this.#files.append(id, source.portion(), grown);
    } finally {
      await source.close();
    }
  }

  async #keep(id: string, name: string, digest: Digest, sizeBytes: number): Promise<void> {
    try {
      const { hex, sizeBytes: found } = await this.#files.finish(id);
      if (digestFromHex(hex) !== digest || found !== sizeBytes)
        throw new RegistryRefusal(
          'UNAVAILABLE',
          `blob ${digest} came damaged from upstream (${found} bytes, digest sha256:${hex}): it was thrown away`,
          null,
          502,
        );
      if (this.#options.maxBytes !== null && sizeBytes > this.#options.maxBytes) return;
      using lease = this.#leases.acquire();
      await this.#blobs.adopt(this.#files.path(id), { digest, sizeBytes }).commit(lease);
      await this.records.link(name, digest, sizeBytes, this.#options.now(), null);
    } finally {
      await this.#files.remove(id);
    }
    await this.#evict(digest);
  }

  async forgetManifest(name: string, digest: Digest): Promise<boolean> {
    return (await this.records.deleteManifest(name, digest, this.#options.now())) !== null;
  }

  async forgetBlob(name: string, digest: Digest): Promise<boolean> {
    const removed = await this.records.unlink(name, digest);
    if (!this.records.isLinked(digest) && !this.#leases.holds(digest)) await this.#blobs.delete(digest);
    return removed;
  }

  /** Whatever no record speaks of. */
  async removeStrangers(): Promise<GarbageReport> {
    let removedBlobs = 0;
    let reclaimedBytes = 0;
    for (const digest of await this.#blobs.list()) {
      if (this.records.isLinked(digest) || this.#leases.holds(digest)) continue;
      reclaimedBytes += this.#blobs.sizeBytes(digest);
      await this.#blobs.delete(digest);
      removedBlobs++;
    }
    return { removedBlobs, reclaimedBytes, removedUploads: 0 };
  }

  /** What is damaged goes, and comes again when it is asked for. That a blob is not here is no finding: this is a cache. */
  async check(onFinding: (finding: RegistryFinding) => void, signal: AbortSignal): Promise<{ blobs: number; bytes: number }> {
    const damaged: RegistryFinding[] = [];
    const checked = { records: this.records, blobs: this.#blobs };
    const counts = await checkRegistry(checked, (finding) => void damaged.push(finding), signal);
    for (const finding of damaged) {
      const { digest, repositories } = finding;
      const isOnlyNamed = finding.kind === 'missing-blob' && !this.records.isLinked(digest);
      if (isOnlyNamed || this.repository(repositories[0] ?? '')?.manifests.has(digest)) continue;
      for (const name of this.holders(digest)) await this.forgetBlob(name, digest);
      onFinding({
        ...finding,
        text: `${finding.text.split(':', 1)[0]}:${digest.slice(7)} of the cache was ${finding.kind === 'missing-blob' ? 'missing' : 'damaged'}: it was removed, and comes again from upstream`,
      });
    }
    return counts;
  }

  async close(): Promise<void> {
    await this.#files.close();
    await this.#blobs.close();
    await this.records.close();
  }

  #note(name: string, digest: Digest): void {
    const hold = this.repository(name)?.holds.get(digest);
    const now = this.#options.now();
    if (hold === undefined || hold.neededAt === now) return;
    const before = hold.neededAt;
    hold.neededAt = now;
    if (now - before >= useNoteMs) this.records.renew(name, digest, now).catch(() => {});
  }

  /** `fresh` has just come: it stays whatever its age. */
  async #evict(fresh: Digest | null): Promise<void> {
    const { maxBytes } = this.#options;
    if (maxBytes === null || this.records.counts.blobBytes <= maxBytes) return;
    for (const digest of this.#byAge()) {
      if (this.records.counts.blobBytes <= maxBytes * evictTo) return;
      if (digest === fresh) continue;
      for (const name of this.holders(digest)) await this.forgetBlob(name, digest);
    }
  }

  /** The first was used longest ago. */
  #byAge(): readonly Digest[] {
    const usedAt = new Map<Digest, number>();
    for (const { holds } of this.records.repositories()) {
      for (const [digest, { sizeBytes, neededAt }] of holds)
        if (sizeBytes !== null) usedAt.set(digest, Math.max(neededAt, usedAt.get(digest) ?? 0));
    }
    return [...usedAt].sort(([, one], [, other]) => one - other).map(([digest]) => digest);
  }
}

function sizeIn(bytes: Buffer, digest: Digest): number | null {
  const { config, layers, blobs, manifests } = parseJsonObject(bytes, 'manifest');
  const described = [config, layers, blobs, manifests].flat();
  const found = described.find((entry) => isObject(entry) && entry.digest === digest);
  return isObject(found) && typeof found.size === 'number' ? found.size : null;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
