/** The builder, as the API sees it. */
import type { Digest, ImageId } from '../base/brand.ts';
import type { EngineError } from '../base/errors.ts';
import type { BuildClient } from './build-client.ts';
import type { BuildWarning } from './build-event.ts';
import type { BuildRequest } from './build-request.ts';
import type { CachePruneOptions, CacheUsage } from './cache/build-cache.ts';

export interface Builder {
  /** Rejects with a `BuildError` when a step failed or the Dockerfile is wrong; nothing half-made is visible then, and what was finished stays in the cache. */
  build(request: BuildRequest, client: BuildClient, signal: AbortSignal): Promise<BuildOutcome>;
  /** False: no such build runs. */
  cancel(id: string): boolean;
  cacheUsage(): Promise<readonly CacheUsage[]>;
  pruneCache(options: CachePruneOptions): Promise<{ readonly deleted: readonly string[]; readonly reclaimedBytes: number }>;
  /** Latest first. */
  history(): readonly BuildRecord[];
}

export interface BuildOutcome {
  /** Of the image in the image store; null: the outputs are elsewhere, or nothing was built. */
  readonly imageId: ImageId | null;
  /** Digest of the config; null with several platforms. */
  readonly configDigest: Digest | null;
  /** Of the manifest, or of the index; null: no output has one. */
  readonly digest: Digest | null;
  readonly mediaType: string | null;
  readonly sizeBytes: number;
  readonly names: readonly string[];
  readonly warnings: readonly BuildWarning[];
  /** Of `call`: what it found, for people and as JSON. */
  readonly answer: { readonly text: string; readonly json: unknown } | null;
  /** In-toto statement of provenance; null: not asked for. */
  readonly provenance: unknown;
}

export interface BuildRecord {
  readonly id: string;
  /** Of the target image, or the context. */
  readonly name: string;
  readonly startedAt: Date;
  readonly completedAt: Date | null;
  readonly status: 'running' | 'completed' | 'error' | 'canceled';
  readonly steps: number;
  readonly cachedSteps: number;
  readonly warnings: number;
  readonly error: string | null;
  readonly imageId: ImageId | null;
}

/** What a client shows of a build that failed. */
export interface BuildFailure {
  /** `process "/bin/sh -c exit 3" did not complete successfully: exit code: 3` */
  readonly message: string;
  /** Of the process of a RUN; null: it was something else. */
  readonly exitCode: number | null;
  /** Name of the step, and the last lines it wrote. */
  readonly step: string | null;
  readonly lastLines: readonly string[];
  /** The part of the Dockerfile that is to blame, as `excerpt` of dockerfile-error.ts writes it; empty: none. */
  readonly excerpt: string;
  /** With `keepFailed`: what was there before the step. */
  readonly stateImage: ImageId | null;
}

/** See `build-error.ts`. */
export interface BuildErrorShape extends EngineError {
  readonly failure: BuildFailure;
}
