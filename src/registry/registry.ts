/**
 * The contract of the registry server's inside: repositories, manifests, tags, blobs and uploads, without HTTP and without access control.
 *
 *     http/ (routes of the specification) ──▶ Access (who may) ──▶ Registry (this) ──▶ blob store + records
 *                                                                     └──▶ RegistryEvents: audit line, webhooks, metrics, retention
 *
 * A blob belongs to a repository by a link; whoever may read one repository learns nothing of another's (SECURITY.md row 26). Bytes are content-addressed and shared by all.
 * What was acknowledged is on the disk: blob file → fsync → rename → fsync of the directory → link or manifest record in one durable commit → answer.
 *
 * Garbage: a blob is needed by a manifest, or by a link that is younger than the grace (an upload, a mount and a HEAD that said "it is here" start the grace anew): a push in
 * flight never loses what it counts on. Untagged manifests stay until they are deleted or a retention rule takes them.
 */
import type { Digest } from '../base/brand.ts';
import type { Descriptor } from '../oci/manifest.ts';

export interface Registry {
  /** Sorted by name, those that hold something. */
  repositories(page: Page): PageOf<string>;
  /** Need not exist: the first push makes it. `invalid` (NAME_INVALID) for a name that the specification does not allow. */
  repository(name: string): RegistryRepository;
  onEvent(listener: (event: RegistryEvent) => void): () => void;
  /** Beside pushes and pulls. */
  collectGarbage(options?: { readonly dryRun?: boolean; readonly signal?: AbortSignal }): Promise<GarbageReport>;
  /** Hashes every blob again, and looks for what manifests name and nobody has. `onFinding` as they come. */
  check(onFinding: (finding: RegistryFinding) => void, signal?: AbortSignal): Promise<{ readonly blobs: number; readonly bytes: number }>;
  stats(): RegistryStats;
  /** For a daemon that shares the blob store: its own sweep must leave this one. */
  needsBlob(digest: Digest): boolean;
  close(): Promise<void>;
}

/** For whoever only looks: the web page. */
export type RegistryView = Pick<Registry, 'repositories' | 'repository'>;

export interface RegistryRepository {
  readonly name: string;
  /** It holds a manifest or a blob. */
  readonly exists: boolean;
  /** For pages, retention and metrics. Null: no such tag. */
  tag(name: string): TagInfo | null;
  /** In no order. */
  manifests(): readonly ManifestInfo[];
  /** What its quota counts: each blob and manifest once, what other repositories have too included. */
  readonly usedBytes: number;
  /** Sorted. A pull-through repository asks its upstream. */
  tags(page: Page): Promise<PageOf<string>>;
  /** By tag or digest; null: not here. A pull-through repository fetches it first. */
  manifest(reference: string): Promise<StoredManifest | null>;
  /**
   * By a tag, by its digest (DIGEST_INVALID when it isn't), or by nothing (its digest too); `tags`: more of them, all in one commit. `mediaType`: as announced, may be empty.
   * Errors: MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, SIZE_INVALID, DENIED (a rule keeps the tag where it is), QUOTA_EXCEEDED.
   */
  putManifest(
    reference: string | null,
    mediaType: string,
    bytes: Uint8Array,
    writer: Writer,
    tags?: readonly string[],
  ): Promise<StoredManifest>;
  /** False: not here. */
  deleteManifest(digest: Digest, writer: Writer): Promise<boolean>;
  deleteTag(tag: string, writer: Writer): Promise<boolean>;
  /** Size; null: not in this repository. Starts its grace anew. */
  blob(digest: Digest): Promise<StoredBlob | null>;
  deleteBlob(digest: Digest, writer: Writer): Promise<boolean>;
  /** True: it is linked here now. The caller has checked that the writer may read `from`. */
  mount(digest: Digest, from: string, writer: Writer): Promise<boolean>;
  /** `expectedBytes`: what the client says will come, so that a quota can refuse at once. */
  beginUpload(writer: Writer, expectedBytes?: number): Promise<RegistryUpload>;
  /** Null: no such upload of this repository. Uploads outlive a restart of the server. */
  upload(id: string): RegistryUpload | null;
  /** Manifests whose `subject` is this digest, by digest. Empty: none, or no such subject. */
  referrers(subject: Digest, page: Page & { readonly artifactType: string | null }): Promise<PageOf<ReferrerDescriptor>>;
}

export interface RegistryUpload {
  readonly id: string;
  /** Bytes that are there. */
  readonly sizeBytes: number;
  /**
   * `startsAt` must be `sizeBytes`, else RANGE_INVALID. What came before a cut stays. One at a time: a second writer replaces the first, whose `onReplaced` must end its source
   * (a client whose connection broke comes again before the server has noticed); one without is not replaced: the second is refused then.
   */
  append(source: AsyncIterable<Uint8Array>, startsAt: number, signal?: AbortSignal, onReplaced?: () => void): Promise<void>;
  /** DIGEST_INVALID removes the upload. */
  finish(digest: Digest, writer: Writer): Promise<StoredBlob>;
  cancel(): Promise<void>;
}

export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
  /** Digest of the manifest it refers to. */
  readonly subject: Digest | null;
  /** Of pull-through repositories: how old the answer is (`Age`), and whether upstream could not be asked although it should have been (`Warning: 110`). */
  readonly cached?: { readonly ageSeconds: number; readonly isStale: boolean };
}

export interface StoredBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Its file, for ranges and for handing to the kernel. Null while a pull-through fetch is under way: then `stream` is the only way. */
  readonly path: string | null;
  /** `[start, end)` in bytes. Of a pull-through fetch the first `next()` may end with a refusal (upstream says no): await it before the head of the answer is sent. */
  stream(start: number, end: number): AsyncIterable<Uint8Array>;
}

export interface ReferrerDescriptor extends Descriptor {
  readonly artifactType?: string;
}

export interface TagInfo {
  readonly digest: Digest;
  readonly movedAt: Date;
}

export interface ManifestInfo {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly subject: Digest | null;
  readonly artifactType: string | null;
  readonly pushedAt: Date;
  /** Digests it names: config, layers, manifests of an index. */
  readonly names: readonly Digest[];
  /** Sorted. */
  readonly tags: readonly string[];
}

/** What the operator forbids. Asked in the turn in which the change is decided. */
export interface RegistryRules {
  /** Text of the refusal, or null. `to` null: the tag, or the manifest it names, is to be deleted. */
  keepTag?(repository: string, tag: string, from: Digest, to: Digest | null): string | null;
  /** Null: as much as there is. */
  quotaBytes?(repository: string): number | null;
}

/** Who changes something, for events and the audit log. */
export interface Writer {
  /** Null: nobody was asked. */
  readonly user: string | null;
  readonly address: string;
  readonly userAgent: string;
}

export interface Page {
  /** Names after this one. */
  readonly after: string | null;
  readonly limit: number;
}

export interface PageOf<T> {
  readonly entries: readonly T[];
  readonly more: boolean;
}

export interface RegistryEvent {
  readonly action: 'push' | 'delete' | 'mount' | 'upload' | 'tag-delete' | 'pull-through';
  readonly repository: string;
  readonly kind: 'manifest' | 'blob' | 'tag';
  readonly digest: Digest | null;
  readonly tag: string | null;
  readonly mediaType: string | null;
  readonly sizeBytes: number;
  readonly writer: Writer;
  readonly at: Date;
}

export interface GarbageReport {
  readonly removedBlobs: number;
  readonly reclaimedBytes: number;
  readonly removedUploads: number;
}

export interface RegistryFinding {
  readonly kind: 'damaged-blob' | 'missing-blob' | 'missing-manifest' | 'wrong-size';
  readonly digest: Digest;
  readonly repositories: readonly string[];
  readonly text: string;
}

export interface RegistryStats {
  readonly repositories: number;
  readonly manifests: number;
  readonly blobs: number;
  readonly blobBytes: number;
  readonly openUploads: number;
}
