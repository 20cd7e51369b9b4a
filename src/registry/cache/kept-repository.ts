/** What the cache has of a repository, without asking upstream: for the web page, and for when upstream cannot be asked. Nothing is pushed here; deleting makes the cache forget. */
import type { Digest } from '../../base/brand.ts';
import { isDigest } from '../../oci/digest.ts';
import type {
  ManifestInfo,
  Page,
  PageOf,
  ReferrerDescriptor,
  RegistryRepository,
  RegistryUpload,
  StoredBlob,
  StoredManifest,
  TagInfo,
} from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import type { RepositoryState } from '../repository-state.ts';
import type { CacheStore } from './cache-store.ts';
import type { UpstreamPlace } from './upstream.ts';

export class KeptRepository implements RegistryRepository {
  readonly name: string;
  readonly place: UpstreamPlace;
  readonly #store: CacheStore;

  constructor(name: string, place: UpstreamPlace, store: CacheStore) {
    this.name = name;
    this.place = place;
    this.#store = store;
  }

  get #state(): RepositoryState | null {
    return this.#store.repository(this.name);
  }

  get exists(): boolean {
    return this.#state?.exists ?? false;
  }

  get usedBytes(): number {
    return this.#state?.usedBytes ?? 0;
  }

  tag(name: string): TagInfo | null {
    return this.#state?.tagInfo(name) ?? null;
  }

  manifests(): readonly ManifestInfo[] {
    return this.#state?.manifestInfos() ?? [];
  }

  async tags(page: Page): Promise<PageOf<string>> {
    return this.#state?.tagNames.page(page) ?? { entries: [], more: false };
  }

  async manifest(reference: string): Promise<StoredManifest | null> {
    const digest = this.#state?.tags.get(reference)?.digest ?? (isDigest(reference) ? reference : null);
    return digest === null ? null : await this.#store.manifest(this.name, digest);
  }

  async blob(digest: Digest): Promise<StoredBlob | null> {
    return this.#store.blob(this.name, digest);
  }

  async referrers(subject: Digest, page: Page & { readonly artifactType: string | null }): Promise<PageOf<ReferrerDescriptor>> {
    const state = this.#state;
    const found = [...(state?.referrers.get(subject) ?? [])].flatMap((digest) => state?.manifests.get(digest as Digest) ?? []);
    const wanted = found.filter(
      ({ digest, artifactType }) =>
        (page.after === null || digest > page.after) && (page.artifactType === null || artifactType === page.artifactType),
    );
    const entries = wanted.slice(0, page.limit).map(({ digest, mediaType, sizeBytes, artifactType }) => ({
      mediaType,
      digest,
      size: sizeBytes,
      ...(artifactType === null ? {} : { artifactType }),
    }));
    return { entries, more: wanted.length > page.limit };
  }

  async putManifest(): Promise<StoredManifest> {
    throw this.#readOnly();
  }

  async mount(): Promise<boolean> {
    throw this.#readOnly();
  }

  async beginUpload(): Promise<RegistryUpload> {
    throw this.#readOnly();
  }

  upload(): RegistryUpload | null {
    return null;
  }

  async deleteManifest(digest: Digest): Promise<boolean> {
    return await this.#store.forgetManifest(this.name, digest);
  }

  async deleteTag(tag: string): Promise<boolean> {
    return await this.#store.records.deleteTag(this.name, tag);
  }

  async deleteBlob(digest: Digest): Promise<boolean> {
    return await this.#store.forgetBlob(this.name, digest);
  }

  #readOnly(): RegistryRefusal {
    const { upstream, repository } = this.place;
    return new RegistryRefusal(
      'DENIED',
      `${this.name} is a pull-through cache of ${upstream.name}/${repository.name.path}: nothing is pushed to it. Push to ${upstream.name} itself, or under another name`,
    );
  }
}
