/**
 * A repository that comes from upstream.
 *
 *     by digest      here → as it is;  else fetched once, however many ask
 *     by tag         younger than the TTL → as it is;  else upstream is asked what it means now (HEAD), and fetched when that is new
 *                    upstream can't be asked → as it is, and said to be stale
 *     blobs          here → its file;  else fetched once, read by all who ask while it comes (blob-fetch.ts); only what a manifest of this repository names
 *
 * What is deleted is forgotten, and comes again when it is asked for.
 */
import type { Digest } from '../../base/brand.ts';
import { isDigest } from '../../oci/digest.ts';
import type { Page, PageOf, ReferrerDescriptor, RegistryEvent, StoredBlob, StoredManifest, Writer } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { resumedBlob } from '../resumed-blob.ts';
import { BlobFetch } from './blob-fetch.ts';
import type { CacheStore } from './cache-store.ts';
import { KeptRepository } from './kept-repository.ts';
import type { ShortMemory } from './short-memory.ts';
import { isAbsence, type Upstream, type UpstreamPlace } from './upstream.ts';

/** What all repositories of the cache share. */
export interface CacheContext {
  readonly store: CacheStore;
  /** By `repository tag`: when upstream last said what it means. */
  readonly checkedAt: Map<string, number>;
  /** One question for all who ask the same. */
  readonly asking: Map<string, Promise<unknown>>;
  readonly fetching: Map<string, BlobFetch>;
  /** What upstream said it does not have. */
  readonly absent: ShortMemory<RegistryRefusal>;
  readonly lists: ShortMemory<readonly unknown[]>;
  /** Which upstream a repository's blobs came from. */
  upstreamOf(repository: string): Upstream | null;
  emit(event: Omit<RegistryEvent, 'at'>): void;
  readonly now: () => number;
  readonly closing: AbortSignal;
}

/** Where something old is at hand, nobody waits longer than this for something new. */
const revalidateMs = 10_000;
/** Whoever asks us waits: short. */
const resume = { attempts: 4, firstPauseMs: 250, longestPauseMs: 3_000 };
const tagsLimit = 100_000;
const nobody: Writer = { user: null, address: '', userAgent: '' };

export class CachedRepository extends KeptRepository {
  readonly #context: CacheContext;

  constructor(name: string, place: UpstreamPlace, context: CacheContext) {
    super(name, place, context.store);
    this.#context = context;
  }

  override get exists(): boolean {
    return super.exists || (this.#context.lists.get(this.#key('tags'))?.length ?? 0) > 0;
  }

  override async manifest(reference: string): Promise<StoredManifest | null> {
    if (!isDigest(reference)) return await this.#tagged(reference);
    return (await super.manifest(reference)) ?? (await this.#once(`manifest ${reference}`, () => this.#fetch(reference, null)));
  }

  async #tagged(tag: string): Promise<StoredManifest | null> {
    const key = this.#key(`tag ${tag}`);
    const checkedAt = this.#context.checkedAt.get(key) ?? null;
    const ageMs = checkedAt === null ? null : this.#context.now() - checkedAt;
    const known = await super.manifest(tag);
    if (known !== null && ageMs !== null && ageMs < this.place.upstream.ttlMs) return aged(known, ageMs, false);
    try {
      const current = await this.#once(`tag ${tag}`, () => this.#revalidate(tag, known));
      return current && aged(current, 0, false);
    } catch (thrown) {
      if (known === null || !isAbsence(thrown)) throw thrown;
      const movedAt = super.tag(tag)?.movedAt.getTime() ?? this.#context.now();
      return aged(known, this.#context.now() - (checkedAt ?? movedAt), true);
    }
  }

  async #revalidate(tag: string, known: StoredManifest | null): Promise<StoredManifest> {
    if (known === null) return await this.#fetch(tag, tag);
    const { upstream, repository } = this.place;
    const signal = AbortSignal.any([this.#context.closing, AbortSignal.timeout(revalidateMs)]);
    const described = await upstream
      .ask(() => repository.describe(tag, signal))
      .catch((thrown) => {
        throw signal.aborted && !this.#context.closing.aborted ? tooSlow(upstream) : thrown;
      });
    if (described === null) {
      await this.#context.store.records.deleteTag(this.name, tag);
      throw new RegistryRefusal('MANIFEST_UNKNOWN', `upstream ${upstream.name} has no tag ${tag} of ${repository.name.path} any more`);
    }
    if (described.digest === known.digest) {
      this.#checked(tag);
      return known;
    }
    const other = await super.manifest(described.digest);
    if (other === null) return await this.#fetch(tag, tag);
    this.#checked(tag);
    return await this.#context.store.keepManifest(this.name, tag, other.mediaType, other.bytes);
  }

  async #fetch(reference: string, tag: string | null): Promise<StoredManifest> {
    const { upstream, repository } = this.place;
    const key = this.#key(`manifest ${reference}`);
    const absent = this.#context.absent.get(key);
    if (absent !== null) throw absent;
    try {
      const { descriptor, bytes } = await upstream.ask(() => repository.manifest(reference, this.#context.closing));
      const stored = await this.#context.store.keepManifest(this.name, tag, descriptor.mediaType, bytes);
      if (tag !== null) this.#checked(tag);
      this.#tell('manifest', stored.digest, tag, stored.mediaType, bytes.length);
      return stored;
    } catch (thrown) {
      if (thrown instanceof RegistryRefusal && thrown.refusal === 'MANIFEST_UNKNOWN') this.#context.absent.set(key, thrown);
      throw thrown;
    }
  }

  override async blob(digest: Digest): Promise<StoredBlob | null> {
    const here = await super.blob(digest);
    if (here !== null) return here;
    const key = this.#key(`blob ${digest}`);
    const running = this.#context.fetching.get(key);
    if (running !== undefined) return running;
    const sizeBytes = await this.#context.store.namedSize(this.name, digest);
    if (sizeBytes === null) return null;
    const known = await this.#knownElsewhere(digest);
    if (known !== null) return known;
    const fetch = this.#context.fetching.get(key) ?? this.#blobFetch(key, digest, sizeBytes);
    this.#context.fetching.set(key, fetch);
    return fetch;
  }

  /** Of another repository of the same upstream: upstream says whether this one has it, too. What came from elsewhere proves nothing (SECURITY.md row 26). */
  async #knownElsewhere(digest: Digest): Promise<StoredBlob | null> {
    const { upstream, repository } = this.place;
    const from = this.#context.store.holders(digest).find((name) => this.#context.upstreamOf(name) === upstream);
    if (from === undefined) return null;
    const has = await upstream.ask(() => repository.hasBlob(digest, this.#context.closing)).catch(() => false);
    return has ? await this.#context.store.linkKnown(this.name, from, digest) : null;
  }

  #blobFetch(key: string, digest: Digest, sizeBytes: number): BlobFetch {
    const { upstream, repository } = this.place;
    const { store, fetching, closing } = this.#context;
    const bring = (offsetBytes: number) =>
      refusing(resumedBlob(repository, { digest, size: sizeBytes }, offsetBytes, closing, resume), upstream);
    const begin = async () => {
      const refused = upstream.leaveAlone();
      if (refused !== null) throw refused;
      const work = await store.beginFetch(this.name, digest, sizeBytes, bring);
      return {
        ...work,
        run: async (grown: (bytes: number) => void) => {
          await work.run(grown);
          this.#tell('blob', digest, null, null, sizeBytes);
        },
      };
    };
    return new BlobFetch(digest, sizeBytes, begin, () => void fetching.delete(key));
  }

  override async tags(page: Page): Promise<PageOf<string>> {
    const names = await this.#list('tags', async () => {
      const found: string[] = [];
      for await (const name of this.place.repository.tags(this.#context.closing)) {
        found.push(name);
        if (found.length >= tagsLimit) break;
      }
      return found.sort();
    }).catch((thrown) => {
      // What is here is what is known; a repository that upstream does not have has none.
      if (isAbsence(thrown) || (thrown instanceof RegistryRefusal && thrown.refusal === 'MANIFEST_UNKNOWN')) return null;
      throw thrown;
    });
    if (names === null) return await super.tags(page);
    const rest = page.after === null ? names : names.filter((name) => name > (page.after ?? ''));
    return { entries: rest.slice(0, page.limit), more: rest.length > page.limit };
  }

  override async referrers(subject: Digest, page: Page & { readonly artifactType: string | null }): Promise<PageOf<ReferrerDescriptor>> {
    const found = await this.#list(`referrers ${subject}`, async () => {
      const { manifests } = await this.place.repository.referrers(subject, null, this.#context.closing);
      return (manifests as readonly ReferrerDescriptor[]).toSorted((one, other) => (one.digest < other.digest ? -1 : 1));
    }).catch((thrown) => {
      if (thrown instanceof RegistryRefusal) return null;
      throw thrown;
    });
    if (found === null) return await super.referrers(subject, page);
    const wanted = found.filter(
      ({ digest, artifactType }) =>
        (page.after === null || digest > page.after) && (page.artifactType === null || artifactType === page.artifactType),
    );
    return { entries: wanted.slice(0, page.limit), more: wanted.length > page.limit };
  }

  /** Lists are believed for as long as a tag is. */
  async #list<T>(what: string, ask: () => Promise<readonly T[]>): Promise<readonly T[]> {
    const key = this.#key(what);
    const known = this.#context.lists.get(key);
    if (known !== null) return known as readonly T[];
    return await this.#once(what, async () => {
      const list = await this.place.upstream.ask(ask);
      this.#context.lists.set(key, list, this.place.upstream.ttlMs);
      return list;
    });
  }

  override async deleteTag(tag: string): Promise<boolean> {
    this.#context.checkedAt.delete(this.#key(`tag ${tag}`));
    return await super.deleteTag(tag);
  }

  #checked(tag: string): void {
    this.#context.checkedAt.set(this.#key(`tag ${tag}`), this.#context.now());
  }

  #tell(kind: 'manifest' | 'blob', digest: Digest, tag: string | null, mediaType: string | null, sizeBytes: number): void {
    this.#context.emit({ action: 'pull-through', repository: this.name, kind, digest, tag, mediaType, sizeBytes, writer: nobody });
  }

  #once<T>(what: string, work: () => Promise<T>): Promise<T> {
    const key = this.#key(what);
    const { asking } = this.#context;
    const running = (asking.get(key) as Promise<T> | undefined) ?? work().finally(() => asking.delete(key));
    asking.set(key, running);
    return running;
  }

  #key(what: string): string {
    return `${this.name} ${what}`;
  }
}

function aged(manifest: StoredManifest, ageMs: number, isStale: boolean): StoredManifest {
  return { ...manifest, cached: { ageSeconds: Math.max(0, Math.floor(ageMs / 1000)), isStale } };
}

function tooSlow(upstream: Upstream): RegistryRefusal {
  return new RegistryRefusal('UNAVAILABLE', `upstream ${upstream.name} did not answer within ${revalidateMs / 1000} seconds`);
}

async function* refusing(source: AsyncIterable<Uint8Array>, upstream: Upstream): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (thrown) {
    throw upstream.refusal(thrown);
  }
}
