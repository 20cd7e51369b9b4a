/**
 * What builds made before. A record is one layer under the key of the operation that made it; the key counts the operation and its inputs by content, so that it does not matter which
 * build, Dockerfile or file time led to it. Records own their layers and blobs: an image that goes takes nothing from the cache.
 *
 *     key = digest(operation, tree below it, selected files by content, epoch)
 */
import type { Readable } from 'node:stream';
import type { DiffId, Digest } from '../../base/brand.ts';
import type { LayerRef } from '../../store/layer-store.ts';
import type { Lease } from '../../store/leases.ts';
import type { StepExplanation } from '../build-event.ts';
import type { Selection } from '../files/layer-work.ts';
import type { Operation } from '../plan/operation.ts';
import type { OperationResult } from '../result.ts';

export interface BuildCache {
  /** Null for what is not cached: images, contexts, scratch. */
  keyOf(request: KeyRequest): CacheKey | null;
  /** A hit counts as a use. Its layer and blob are there: one that has lost them is no hit. The lease holds both from before the answer: nothing takes them while it lasts. */
  find(key: CacheKey, lease: Lease): Promise<CacheRecord | null>;
  /** While a lease holds what was made. Of the same key the first one stays, unless the new one replaces it (`--no-cache`: what was made last is what counts). */
  add(key: CacheKey, made: NewCacheRecord, options?: { readonly replace: boolean }): Promise<CacheRecord>;
  /** Compared with the last step of the same `place`. Once for each step of each build, whether or not anybody asked: it is what the next build is compared with. */
  explain(key: CacheKey, outcome: 'hit' | 'miss' | 'no-cache'): Promise<StepExplanation>;
  readonly mounts: CacheMounts;
  usage(): Promise<readonly CacheUsage[]>;
  prune(options: CachePruneOptions): Promise<{ readonly deleted: readonly string[]; readonly reclaimedBytes: number }>;
  /** For the sweeps. */
  layerDirectories(): ReadonlySet<string>;
  holds(blob: Digest): boolean;
  close(): Promise<void>;
}

export interface KeyRequest {
  readonly operation: Operation;
  /** Results of the operations it stands on. */
  readonly inputs: ReadonlyMap<Operation, OperationResult>;
  /** What its COPY sources or bind mounts select, in their order; null for sources that select nothing (heredocs). */
  readonly selections: readonly (Selection | null)[];
  /** Of all RUNs: what of the settings counts (network, host names, ulimits, hostname). */
  readonly environment: string;
  /** Which project, stage and instruction as it is written, for `explain`: the same in the next build of the same project. */
  readonly place: string;
  /** Which project, stage and number: tells an instruction that was changed from one that is new. */
  readonly position?: string;
}

export interface CacheKey {
  readonly digest: string;
  readonly place: string;
  readonly position: string | null;
  /** Name of a part (`argument V`, `file src/app.ts`, `below`) → its short value as JSON, or its digest; never a secret. */
  readonly parts: ReadonlyMap<string, string>;
  /** DiffID of the topmost layer below; null: there is none. */
  readonly below: DiffId | null;
}

export interface NewCacheRecord {
  readonly layer: LayerRef;
  readonly blob: { readonly digest: Digest; readonly sizeBytes: number };
  /** `[build 2/4] RUN make` without its counter, for `builder df`. */
  readonly description: string;
  readonly kind: 'run' | 'copy' | 'directory';
}

export interface CacheRecord extends NewCacheRecord {
  readonly key: string;
  readonly createdAt: Date;
}

export interface CacheMounts {
  /** A directory of the cache mount, its holder's until it is released. `locked` waits, `private` gives another one when it is busy. */
  acquire(request: CacheMountRequest, signal: AbortSignal): Promise<HeldCacheMount>;
  /** Its content as a tar, for others; it is held until the tar was read or destroyed. Null: there is none, or somebody has it alone now. */
  pack(mount: CacheMountName): Readable | null;
}

/** Which one it is. */
export interface CacheMountName {
  readonly id: string;
  /** Part of what it is: the identity of `from` and `source`; empty: none. */
  readonly origin: string;
}

export interface CacheMountRequest extends CacheMountName {
  readonly sharing: 'shared' | 'private' | 'locked';
  /** What it starts with, when it is made: fills an empty directory; null: nothing. */
  readonly fill: ((directory: string) => Promise<void>) | null;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface HeldCacheMount {
  readonly directory: string;
  release(): Promise<void>;
}

export interface CacheUsage {
  readonly id: string;
  readonly type: 'regular' | 'exec.cachemount' | 'source.local';
  readonly description: string;
  readonly sizeBytes: number;
  /** Also part of an image: pruning it frees nothing yet. */
  readonly shared: boolean;
  readonly inUse: boolean;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly usageCount: number;
  readonly parents: readonly string[];
}

export interface CachePruneOptions {
  /** Also what is part of images. */
  readonly all: boolean;
  /** Not used since; null: whenever. */
  readonly unusedSince: Date | null;
  readonly ids: readonly string[];
  readonly types: readonly string[];
  /** Bytes that stay, the latest used. */
  readonly keepBytes: number | null;
}
