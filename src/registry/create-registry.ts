/**
 * The registry on this machine's disk: blobs are files of the blob store, everything else is in the records. See registry.ts for what it promises.
 *
 * Order of a finished upload: bytes → fsync → lease → rename → fsync of the directory → link, durable → mirror in memory → answer. A kill between any two leaves a file
 * that nobody names, which the next collection takes, and an upload that begins anew.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../base/brand.ts';
import { failpoint } from '../base/failpoints.ts';
import { digestOf, isDigest } from '../oci/digest.ts';
import type { BlobInfo, BlobStore } from '../store/blobs.ts';
import type { Database } from '../store/database.ts';
import type { Leases } from '../store/leases.ts';
import { checkRegistry } from './check-registry.ts';
import { collectGarbage } from './garbage.ts';
import { KeyLocks } from './key-locks.ts';
import { ManifestCache } from './manifest-cache.ts';
import { checkDigest, checkRepositoryName, checkTag } from './names.ts';
import { OpenUploads } from './open-uploads.ts';
import { readPushedManifest } from './pushed-manifest.ts';
import type {
  GarbageReport,
  ManifestInfo,
  Page,
  PageOf,
  ReferrerDescriptor,
  Registry,
  RegistryEvent,
  RegistryFinding,
  RegistryRepository,
  RegistryRules,
  RegistryStats,
  RegistryUpload,
  StoredBlob,
  StoredManifest,
  TagInfo,
  Writer,
} from './registry.ts';
import { RegistryRecords } from './registry-records.ts';
import { RegistryRefusal } from './registry-refusal.ts';
import { Upload, type UploadOwner } from './registry-upload.ts';
import type { ManifestState, RepositoryState } from './repository-state.ts';
import { UploadFiles } from './upload-files.ts';

export interface RegistryOptions {
  /** Opened with `registryMigrations`; closed with the registry. */
  readonly database: Database;
  /** Not closed with the registry. */
  readonly blobs: BlobStore;
  readonly leases: Leases;
  /** Its folder, on the file system of the blob store: uploads under way. */
  readonly root: string;
  readonly rules?: RegistryRules;
  /** How long a blob that no manifest names is kept. */
  readonly graceMs?: number;
  /** How long an upload that nobody goes on with is kept. */
  readonly uploadPatienceMs?: number;
  readonly blobLimitBytes?: number;
  /** For a blob store that others use too: they remove what nobody needs, and say what they do. */
  readonly neededElsewhere?: (digest: Digest) => boolean;
  /**
   * For the same: names that a mount may give as its source, beside repositories, by which they let bytes of theirs become a repository's. Undefined: no such name; null: not this blob;
   * else its size.
   */
  readonly mountElsewhere?: (from: string, digest: Digest) => number | null | undefined;
  readonly now?: () => number;
}

const hour = 3_600_000;
const defaults = { graceMs: 24 * hour, uploadPatienceMs: 7 * 24 * hour, blobLimitBytes: Number.MAX_SAFE_INTEGER, now: Date.now };
const hotManifestBytes = 64 * 1024 * 1024;
const streamBatchBytes = 512 * 1024;
/** Of one repository. */
const openUploadsLimit = 1000;
/** Manifests that are read for a page of referrers: it holds their annotations, whoever wrote them, and is made in one turn of the event loop. */
const referrersPageBytes = 2 * 1024 * 1024;

export async function createRegistry(options: RegistryOptions): Promise<Registry> {
  const registry = new LocalRegistry(options);
  await registry.open();
  return registry;
}

class LocalRegistry implements Registry, UploadOwner {
  readonly options: RegistryOptions & typeof defaults;
  readonly files: UploadFiles;
  readonly records: RegistryRecords;
  readonly hot = new ManifestCache(hotManifestBytes);
  readonly tagLocks = new KeyLocks();
  readonly uploads = new OpenUploads();
  readonly #listeners = new Set<(event: RegistryEvent) => void>();
  readonly #closing = new AbortController();
  #collecting: Promise<unknown> = Promise.resolve();

  constructor(options: RegistryOptions) {
    this.options = { ...defaults, ...options };
    this.records = new RegistryRecords(options.database);
    this.files = new UploadFiles(join(options.root, 'uploads'));
  }

  async open(): Promise<void> {
    const rows = await this.records.load();
    const strangers = new Set(await this.files.open());
    for (const { id, repository, startedAt } of rows) {
      strangers.delete(id);
      const { sizeBytes, changedAt } = await this.files.facts(id);
      this.uploads.add(new Upload(this, id, repository, sizeBytes, Math.max(startedAt, changedAt)));
    }
    // Finished before a kill, but for the file: its row went with the link.
    for (const id of strangers) await this.files.remove(id);
  }

  repositories(page: Page): PageOf<string> {
    return this.records.repositoryNames.page(page);
  }

  repository(name: string): RegistryRepository {
    return new LocalRepository(this, checkRepositoryName(name));
  }

  onEvent(listener: (event: RegistryEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  emit(event: Omit<RegistryEvent, 'at'>): void {
    const told = { ...event, at: new Date(this.options.now()) };
    for (const listener of this.#listeners) listener(told);
  }

  /** One after another: two at once would only count the same twice. */
  async collectGarbage({
    dryRun = false,
    signal,
  }: {
    readonly dryRun?: boolean;
    readonly signal?: AbortSignal;
  } = {}): Promise<GarbageReport> {
    const ending = AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]);
    const run = this.#collecting.then(() => collectGarbage(this, dryRun, ending));
    this.#collecting = run.catch(() => {});
    return await run;
  }

  async check(onFinding: (finding: RegistryFinding) => void, signal?: AbortSignal): Promise<{ blobs: number; bytes: number }> {
    const ending = AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]);
    return await checkRegistry({ records: this.records, blobs: this.options.blobs }, onFinding, ending);
  }

  stats(): RegistryStats {
    return { ...this.records.counts, openUploads: this.uploads.size };
  }

  needsBlob(digest: Digest): boolean {
    return this.records.isLinked(digest);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#collecting;
    await this.files.close();
    await this.records.close();
  }

  now(): number {
    return this.options.now();
  }

  admitUpload(upload: Upload, sizeBytes: number): void {
    this.admit(upload.repository, sizeBytes, upload);
  }

  /** `upload`: whose bytes they are, while it is open; the others of its repository count too then. */
  admit(repository: string, sizeBytes: number, upload?: Upload | null): void {
    if (sizeBytes > this.options.blobLimitBytes) {
      throw new RegistryRefusal(
        'SIZE_INVALID',
        `blob is larger than the ${this.options.blobLimitBytes} bytes that this registry takes`,
        null,
        413,
      );
    }
    const quota = this.options.rules?.quotaBytes?.(repository) ?? null;
    if (quota === null) return;
    const state = this.records.repository(repository);
    const open = upload === undefined ? 0 : this.uploads.bytesBeside(repository, upload);
    const used = (state === null ? 0 : state.usedBytes + state.reservedBytes) + open;
    if (used + sizeBytes <= quota) return;
    throw new RegistryRefusal(
      'QUOTA_EXCEEDED',
      `repository ${repository} may have ${quota} bytes, has ${used}, and ${sizeBytes} more are too many: delete something and collect the garbage`,
      { quotaBytes: quota, usedBytes: used },
    );
  }

  async adopt(upload: Upload, info: BlobInfo, writer: Writer): Promise<StoredBlob> {
    const { blobs, leases } = this.options;
    const staged = blobs.adopt(this.files.path(upload.id), info);
    const adding = this.records.repository(upload.repository)?.linkedSize(info.digest) == null;
    try {
      if (adding) this.admit(upload.repository, info.sizeBytes);
      using lease = leases.acquire();
      failpoint('registry.upload-hashed');
      await this.#reserving(upload.repository, adding ? info.sizeBytes : 0, async () => {
        await staged.commit(lease);
        failpoint('registry.blob-visible');
        await this.records.link(upload.repository, info.digest, info.sizeBytes, this.options.now(), upload.id);
        failpoint('registry.blob-linked');
      });
    } catch (thrown) {
      // A disk that is full for the moment costs nobody an upload; what is refused goes.
      if (thrown instanceof RegistryRefusal) await this.discard(upload);
      throw thrown;
    }
    this.uploads.remove(upload);
    // Others may have brought the same blob first: then the file is still there.
    await this.files.remove(upload.id);
    this.emit({ action: 'upload', repository: upload.repository, kind: 'blob', ...info, tag: null, mediaType: null, writer });
    return this.storedBlob(info.digest, info.sizeBytes);
  }

  async discard(upload: Upload): Promise<void> {
    this.uploads.remove(upload);
    await this.files.remove(upload.id);
    await this.records.deleteUpload(upload.id);
  }

  async #reserving<T>(repository: string, sizeBytes: number, work: () => Promise<T>): Promise<T> {
    return await reserving(this.records.ensure(repository), sizeBytes, work).finally(() => this.records.forgetIdle(repository));
  }

  storedBlob(digest: Digest, sizeBytes: number): StoredBlob {
    const path = this.options.blobs.path(digest);
    return {
      digest,
      sizeBytes,
      path,
      stream: (start, end) => (end <= start ? nothing() : createReadStream(path, { start, end: end - 1, highWaterMark: streamBatchBytes })),
    };
  }
}

class LocalRepository implements RegistryRepository {
  readonly name: string;
  readonly #registry: LocalRegistry;

  constructor(registry: LocalRegistry, name: string) {
    this.#registry = registry;
    this.name = name;
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

  async tags(page: Page): Promise<PageOf<string>> {
    return this.#state?.tagNames.page(page) ?? { entries: [], more: false };
  }

  manifests(): readonly ManifestInfo[] {
    return this.#state?.manifestInfos() ?? [];
  }

  async manifest(reference: string): Promise<StoredManifest | null> {
    const state = this.#state;
    if (state === null) return null;
    const digest = state.tags.get(reference)?.digest ?? (isDigest(reference) ? reference : null);
    const found = digest === null ? undefined : state.manifests.get(digest);
    if (found === undefined) return null;
    return this.#registry.hot.get(found.digest, found.mediaType) ?? (await this.#read(found));
  }

  async putManifest(
    reference: string | null,
    mediaType: string,
    bytes: Uint8Array,
    writer: Writer,
    moreTags: readonly string[] = [],
  ): Promise<StoredManifest> {
    const digest = digestOf(bytes);
    const tags = [...(reference !== null && !reference.includes(':') ? [reference] : []), ...moreTags].map(checkTag);
    if (reference?.includes(':') && checkDigest(reference) !== digest) {
      throw new RegistryRefusal(
        'DIGEST_INVALID',
        `provided digest ${reference} did not match uploaded content, whose digest is ${digest}`,
        {
          digest: reference,
        },
      );
    }
    const manifest = readPushedManifest(bytes, mediaType);
    const keys = tags.map((tag) => `${this.name}:${tag}`);
    const put = { repository: this.name, digest, bytes, manifest, tags, at: this.#registry.options.now() };
    const stored: StoredManifest = { digest, mediaType: manifest.mediaType, bytes: Buffer.from(bytes), subject: manifest.subject };
    await this.#registry.tagLocks.run(keys, async () => {
      for (const tag of tags) this.#refuseKept(tag, digest);
      const names = this.#needed(manifest);
      const state = this.#registry.records.ensure(this.name);
      const adding = state.manifests.has(digest) ? 0 : bytes.length;
      if (adding > 0) this.#registry.admit(this.name, adding);
      await pinning(state, names, () =>
        reserving(state, adding, async () => {
          await this.#registry.records.putManifest(put);
          failpoint('registry.manifest-recorded');
        }),
      );
    });
    this.#registry.hot.put(stored);
    const event = {
      action: 'push',
      repository: this.name,
      kind: 'manifest',
      digest,
      mediaType: stored.mediaType,
      sizeBytes: bytes.length,
    } as const;
    for (const tag of tags.length > 0 ? tags : [null]) this.#registry.emit({ ...event, tag, writer });
    return stored;
  }

  async deleteManifest(digest: Digest, writer: Writer): Promise<boolean> {
    const state = this.#state;
    const found = state?.manifests.get(digest);
    if (state === null || found === undefined) return false;
    for (const tag of state.tagsOf(digest)) this.#refuseKept(tag, null);
    const tags = await this.#registry.records.deleteManifest(this.name, digest, this.#registry.options.now());
    if (tags === null) return false;
    const { mediaType, sizeBytes } = found;
    this.#registry.emit({
      action: 'delete',
      repository: this.name,
      kind: 'manifest',
      digest,
      tag: tags[0] ?? null,
      mediaType,
      sizeBytes,
      writer,
    });
    return true;
  }

  async deleteTag(tag: string, writer: Writer): Promise<boolean> {
    return await this.#registry.tagLocks.run([`${this.name}:${tag}`], async () => {
      const found = this.#state?.tags.get(tag);
      if (found === undefined) return false;
      this.#refuseKept(tag, null);
      if (!(await this.#registry.records.deleteTag(this.name, tag))) return false;
      const { digest } = found;
      this.#registry.emit({ action: 'tag-delete', repository: this.name, kind: 'tag', digest, tag, mediaType: null, sizeBytes: 0, writer });
      return true;
    });
  }

  async blob(digest: Digest): Promise<StoredBlob | null> {
    const sizeBytes = this.#state?.linkedSize(digest) ?? null;
    // The look at the file: what somebody took from the disk is said to be missing, so that a push heals it.
    if (sizeBytes === null || !this.#registry.options.blobs.has(digest)) return null;
    this.#renew(digest);
    return this.#registry.storedBlob(digest, sizeBytes);
  }

  async deleteBlob(digest: Digest, writer: Writer): Promise<boolean> {
    const sizeBytes = this.#state?.linkedSize(digest) ?? null;
    if (sizeBytes === null || !(await this.#registry.records.unlink(this.name, digest))) return false;
    this.#registry.emit({ action: 'delete', repository: this.name, kind: 'blob', digest, tag: null, mediaType: null, sizeBytes, writer });
    return true;
  }

  async mount(digest: Digest, from: string, writer: Writer): Promise<boolean> {
    const { records, options } = this.#registry;
    const elsewhere = options.mountElsewhere?.(from, digest);
    const sizeBytes = elsewhere === undefined ? (records.repository(from)?.linkedSize(digest) ?? null) : elsewhere;
    if (sizeBytes === null) return false;
    // Held from before the look: a collection that runs meanwhile leaves the file.
    using lease = options.leases.acquire();
    lease.hold(digest);
    if (!options.blobs.has(digest)) return false;
    const state = records.ensure(this.name);
    const adding = state.linkedSize(digest) === null ? sizeBytes : 0;
    if (adding > 0) this.#registry.admit(this.name, adding);
    await reserving(state, adding, () => records.link(this.name, digest, sizeBytes, options.now(), null));
    this.#registry.emit({ action: 'mount', repository: this.name, kind: 'blob', digest, tag: null, mediaType: null, sizeBytes, writer });
    return true;
  }

  async beginUpload(_writer: Writer, expectedBytes = 0): Promise<RegistryUpload> {
    this.#registry.admit(this.name, expectedBytes, null);
    if (this.#registry.uploads.countOf(this.name) >= openUploadsLimit) {
      throw new RegistryRefusal(
        'TOOMANYREQUESTS',
        `repository ${this.name} has ${openUploadsLimit} uploads under way, as many as may be: finish or cancel some`,
      );
    }
    const row = { id: randomUUID(), repository: this.name, startedAt: this.#registry.options.now() };
    const upload = new Upload(this.#registry, row.id, this.name, 0, row.startedAt);
    this.#registry.uploads.add(upload);
    try {
      await this.#registry.records.addUpload(row);
    } catch (thrown) {
      this.#registry.uploads.remove(upload);
      throw thrown;
    }
    return upload;
  }

  upload(id: string): RegistryUpload | null {
    const found = this.#registry.uploads.get(id);
    return found?.repository === this.name ? found : null;
  }

  async referrers(subject: Digest, page: Page & { readonly artifactType: string | null }): Promise<PageOf<ReferrerDescriptor>> {
    const state = this.#state;
    const names = state?.referrers.get(subject);
    if (state === null || names === undefined) return { entries: [], more: false };
    const wanted = [...names].filter((digest) => {
      const found = state.manifests.get(digest as Digest);
      return (page.after === null || digest > page.after) && (page.artifactType === null || found?.artifactType === page.artifactType);
    });
    const entries: ReferrerDescriptor[] = [];
    let [looked, lookedBytes] = [0, 0];
    for (const digest of wanted.slice(0, page.limit)) {
      const found = state.manifests.get(digest as Digest);
      lookedBytes += found?.sizeBytes ?? 0;
      if (entries.length > 0 && lookedBytes > referrersPageBytes) break;
      looked++;
      const stored = found && (await this.manifest(digest));
      if (found && stored) entries.push(descriptorOf(found, stored));
    }
    return { entries, more: wanted.length > looked };
  }

  get #state(): RepositoryState | null {
    return this.#registry.records.repository(this.name);
  }

  async #read(found: ManifestState): Promise<StoredManifest | null> {
    const bytes = await this.#registry.records.manifestBytes(found.digest);
    if (bytes === null) return null;
    const stored = { digest: found.digest, mediaType: found.mediaType, bytes, subject: found.subject };
    this.#registry.hot.put(stored);
    return stored;
  }

  #refuseKept(tag: string, to: Digest | null): void {
    const from = this.#state?.tags.get(tag)?.digest;
    if (from === undefined || from === to) return;
    const refusal = this.#registry.options.rules?.keepTag?.(this.name, tag, from, to) ?? null;
    if (refusal !== null) throw new RegistryRefusal('DENIED', refusal, { tag });
  }

  /** Throws MANIFEST_BLOB_UNKNOWN, naming all that is missing. */
  #needed({ blobs, entries }: { readonly blobs: readonly Digest[]; readonly entries: readonly Digest[] }): readonly Digest[] {
    const state = this.#state;
    const isBlob = (digest: Digest) => (state?.linkedSize(digest) ?? null) !== null;
    const missing = [
      ...blobs.filter((digest) => !isBlob(digest)),
      ...entries.filter((digest) => !state?.manifests.has(digest) && !isBlob(digest)),
    ];
    if (missing.length === 0) return [...blobs, ...entries];
    throw new RegistryRefusal(
      'MANIFEST_BLOB_UNKNOWN',
      `manifest names what repository ${this.name} does not have: ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? `, and ${missing.length - 5} more` : ''}`,
      { digest: missing[0], missing: missing.slice(0, 100) },
    );
  }

  #renew(digest: Digest): void {
    const { records, options } = this.#registry;
    const hold = records.repository(this.name)?.holds.get(digest);
    if (hold === undefined) return;
    const now = options.now();
    const before = hold.neededAt;
    hold.neededAt = now;
    // What a manifest needs has no grace to renew; the row of the others may lag by a part of it.
    if (hold.namedBy > 0 || now - before < options.graceMs / 16) return;
    records.renew(this.name, digest, now).catch(() => {});
  }
}

/** While it is being committed the collector leaves alone what a manifest names. */
async function pinning<T>(state: RepositoryState, names: readonly Digest[], work: () => Promise<T>): Promise<T> {
  for (const digest of names) state.hold(digest).pins++;
  try {
    return await work();
  } finally {
    for (const digest of names) {
      state.hold(digest).pins--;
      state.dropIdle(digest);
    }
  }
}

async function reserving<T>(state: RepositoryState, sizeBytes: number, work: () => Promise<T>): Promise<T> {
  state.reservedBytes += sizeBytes;
  try {
    return await work();
  } finally {
    state.reservedBytes -= sizeBytes;
  }
}

function descriptorOf(found: ManifestState, { bytes, digest }: StoredManifest): ReferrerDescriptor {
  const { annotations } = JSON.parse(bytes.toString('utf8')) as { annotations?: Readonly<Record<string, string>> | null };
  return {
    mediaType: found.mediaType,
    digest,
    size: found.sizeBytes,
    ...(found.artifactType === null ? {} : { artifactType: found.artifactType }),
    ...(annotations ? { annotations } : {}),
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
