/** The image catalogue: what `containers` and `api` may ask of images. Identity is Docker's classic one (DESIGN.md section 4): an image ID is the digest of its config. */
import type { Readable } from 'node:stream';
import type { DiffId, Digest, ImageId } from '../base/brand.ts';
import type { ImageConfig, ImageRunConfig } from '../oci/image-config.ts';
import type { LayerRef } from '../store/layer-store.ts';

export interface Image {
  readonly id: ImageId;
  /** Familiar references, `busybox:latest`, sorted. */
  readonly repoTags: readonly string[];
  /** `busybox@sha256:…`; empty for images that were never pulled or pushed. */
  readonly repoDigests: readonly string[];
  readonly config: ImageConfig;
  readonly sizeBytes: number;
  /** When the image got here (load, import, commit, build). */
  readonly localCreatedAt: Date;
  readonly lastTagTime: Date | null;
  readonly layers: readonly LayerRef[];
  readonly diffIds: readonly DiffId[];
  readonly parent: ImageId | null;
}

/** Lines for people and progress displays, in Docker's words. */
export type ImageProgress =
  | { readonly kind: 'status'; readonly text: string; readonly id?: string }
  | { readonly kind: 'stream'; readonly text: string }
  /** Of one layer. */
  | { readonly kind: 'step'; readonly id: string; readonly text: string }
  /** What was pushed, for programs. */
  | { readonly kind: 'pushed'; readonly tag: string; readonly digest: Digest; readonly sizeBytes: number }
  | { readonly kind: 'progress'; readonly id: string; readonly status: string; readonly current: number; readonly total: number };

export interface ImageCatalogue {
  list(): readonly Image[];
  /** By tag, digest reference, full or unique short id (with or without `sha256:`); `not-found` says `No such image: NAME` in Docker's words. */
  resolve(reference: string): Image;
  find(reference: string): Image | null;
  load(tar: Readable, onProgress: (progress: ImageProgress) => void, signal?: AbortSignal): Promise<readonly ImageId[]>;
  /** `docker import`: a root file system tar becomes a one-layer image. `changes` are Dockerfile instructions (CMD, ENV, …). */
  importTar(tar: Readable, options: ImportOptions, onProgress: (progress: ImageProgress) => void): Promise<ImageId>;
  /** A new image on top of the one that a container was made from; `reference` names it from then on. */
  commit(request: CommitRequest, reference: string | null): Promise<ImageId>;
  /** A docker-archive that is an OCI layout too (both indexes), with the stored bytes: a round trip keeps digests. */
  save(references: readonly string[]): Promise<Readable>;
  tag(source: string, target: string): Promise<void>;
  history(reference: string): readonly HistoryEntry[];
  /** Untags or deletes, in Docker's order and with Docker's conflicts. `inUse` names containers by image. */
  remove(reference: string, options: { readonly force: boolean; readonly noPrune: boolean }): Promise<readonly RemovedImage[]>;
  prune(filters: PruneFilters): Promise<{ readonly removed: readonly RemovedImage[]; readonly reclaimedBytes: number }>;
  onEvent(listener: (event: ImageEvent) => void): () => void;
  /** Who uses an image: asked by `remove` and `prune`; handed in by the daemon because images know nothing of containers. */
  setUsers(users: (id: ImageId) => readonly ImageUser[]): void;
}

export interface CommitRequest {
  readonly base: ImageId;
  readonly containerId: string;
  /** For the history: the container's command. */
  readonly createdBy: string;
  readonly author: string;
  readonly comment: string;
  readonly config: ImageRunConfig;
  /** Called once, when its bytes can be taken. */
  layer(): Promise<CommitLayer>;
}

export interface CommitLayer {
  /** A plain tar, whiteouts as layers have them. */
  readonly tar: Readable;
  /** Known after its end. */
  readonly changed: Promise<boolean>;
}

export interface ImportOptions {
  readonly reference: string | null;
  readonly message: string;
  readonly changes: readonly string[];
  readonly platform: string | null;
}

export interface HistoryEntry {
  /** Image id, or `<missing>`. */
  readonly id: string;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly comment: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
}

export type RemovedImage = { readonly kind: 'untagged'; readonly reference: string } | { readonly kind: 'deleted'; readonly id: string };

export interface PruneFilters {
  readonly dangling: boolean;
  /** Images created before this moment. */
  readonly until: Date | null;
  readonly labels: readonly string[];
  readonly withoutLabels: readonly string[];
}

export interface ImageUser {
  readonly containerId: string;
  readonly running: boolean;
  /** The reference the container was created with. */
  readonly reference: string;
}

export interface ImageEvent {
  readonly action: 'load' | 'import' | 'tag' | 'untag' | 'delete' | 'save' | 'pull' | 'push' | 'create' | 'prune';
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
}
