/**
 * A build, as a client of the daemon sees it: what it asks, what it holds ready for the daemon's questions, what it is told while the build runs, and what comes of it.
 * JSON on the wire: times as RFC 3339, bytes as base64 or frames of their own; here they are `Date` and bytes.
 *
 *     startBuild(api, request, side, signal) ─▶ BuildResult, or BuildFailedError
 */
import type { Duplex, Writable } from 'node:stream';
import { EngineError } from '../base/errors.ts';
import type { ListedFile } from '../base/file-list.ts';
import type { RegistryCredentials } from './types.ts';

/** `build/build-request.ts` as JSON: maps are objects, sets are lists. */
export interface BuildRequestBody {
  readonly id: string;
  readonly dockerfilePath: string | null;
  readonly context: ContextPlace;
  readonly namedContexts: Readonly<Record<string, ContextPlace>>;
  readonly target: string | null;
  readonly platforms: readonly { readonly os: string; readonly architecture: string; readonly variant?: string }[];
  readonly buildArguments: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly noCache: readonly string[] | 'all';
  readonly pull: boolean;
  readonly run: RunSettingsBody;
  readonly entitlements: readonly string[];
  readonly outputs: readonly OutputBody[];
  readonly cacheFrom: readonly CachePlace[];
  readonly cacheTo: readonly CachePlace[];
  readonly provenance: 'min' | 'max' | null;
  readonly sbom: boolean;
  readonly squash: boolean;
  readonly epoch: number | 'context' | 'now' | null;
  readonly explain: boolean;
  readonly keepFailed: boolean;
  readonly verify: boolean;
  readonly call: 'build' | 'check' | 'outline' | 'targets';
}

export type ContextPlace =
  | { readonly kind: 'client'; readonly name: string }
  | { readonly kind: 'empty' }
  | { readonly kind: 'git'; readonly url: string }
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'image'; readonly reference: string }
  /** A layout in a context of the client; `reference`: `[:TAG][@DIGEST]`, empty: its only image. */
  | { readonly kind: 'oci-layout'; readonly name: string; readonly reference: string };

export interface RunSettingsBody {
  readonly network: 'default' | 'none' | 'host';
  readonly networkName: string | null;
  readonly extraHosts: readonly string[];
  readonly hostname: string | null;
  readonly shmSizeBytes: number | null;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string | null;
  readonly memoryBytes: number | null;
  readonly memorySwapBytes: number | null;
  readonly cpuShares: number | null;
  readonly cpuPeriod: number | null;
  readonly cpuQuota: number | null;
  readonly cpus: string | null;
  readonly memoryNodes: string | null;
  /** Absent: none. */
  readonly gpus?: readonly GpuRequestBody[];
}

export interface GpuRequestBody {
  readonly driver: string;
  readonly count: number;
  readonly ids: readonly string[];
  readonly capabilities: readonly (readonly string[])[];
  readonly options: Readonly<Record<string, string>>;
}

export interface OutputBody {
  readonly type: 'image' | 'oci' | 'docker' | 'tar' | 'local';
  readonly names: readonly string[];
  readonly push: boolean;
  readonly compression: { readonly kind: 'gzip' | 'zstd' | 'uncompressed' | null; readonly level: number | null; readonly force: boolean };
  readonly annotations: Readonly<Record<string, string>>;
  readonly clientOutput: number;
  readonly unpacked: boolean;
  readonly platformSplit: boolean | null;
}

export interface CachePlace {
  readonly type: 'registry' | 'local' | 'inline';
  readonly reference: string | null;
  readonly client: string | null;
  readonly mode: 'min' | 'max';
  readonly mounts: boolean;
  readonly ignoreErrors: boolean;
}

/** What the client holds ready: `build/build-client.ts` from this side. */
export interface BuildSide {
  onEvent(event: BuildProgress): void;
  /** Null: it is in the build context. */
  readonly dockerfile: DockerfileText | null;
  /** By the names that the request gives them (`context`, …). */
  readonly contexts: ReadonlyMap<string, LocalContext>;
  secret(id: string): Promise<Uint8Array | null>;
  hasSshAgent(id: string): boolean;
  connectSshAgent(id: string): Promise<Duplex>;
  /** Null: nobody. */
  credentials(registry: string): Promise<RegistryCredentials | null>;
  /** Where the bytes (a tar) of an output or of a local cache go; everything is where it belongs when the stream has emitted `finish`. */
  output(id: number | string): Promise<Writable>;
}

export interface DockerfileText {
  readonly name: string;
  readonly text: Uint8Array;
  readonly ignoreFile: string | null;
}

export type LocalContext =
  /** Read once. */
  { readonly kind: 'tar'; readonly stream: AsyncIterable<Uint8Array> } | { readonly kind: 'files'; readonly files: LocalFiles };

/** A folder of this machine without what its ignore file says. */
export interface LocalFiles {
  /** Equal for the same folder in later builds; null: nothing is kept. */
  readonly sharedKey: string | null;
  /** Parents before children; siblings sorted by their names' bytes. */
  entries(): AsyncIterable<readonly ListedFile[]>;
  /** Bytes of a regular file. Several at once are allowed. As many as its entry says, or an error. */
  read(entry: ListedFile): AsyncIterable<Uint8Array>;
}

/** `build/build-event.ts`. */
export type BuildProgress =
  | { readonly kind: 'plan'; readonly instructions: readonly { readonly text: string; readonly vertex: string | null }[] }
  | { readonly kind: 'vertex'; readonly vertex: BuildVertex }
  | { readonly kind: 'status'; readonly status: VertexProgress }
  | { readonly kind: 'log'; readonly vertex: string; readonly stream: 'stdout' | 'stderr'; readonly bytes: Uint8Array; readonly at: Date }
  | { readonly kind: 'warning'; readonly warning: BuildWarningText }
  | {
      readonly kind: 'explanation';
      readonly vertex: string;
      readonly explanation: { readonly cached: boolean; readonly reasons: readonly string[] };
    };

export interface BuildVertex {
  readonly digest: string;
  readonly inputs: readonly string[];
  readonly name: string;
  readonly startedAt?: Date;
  readonly completedAt?: Date;
  readonly cached?: boolean;
  readonly error?: string;
}

export interface VertexProgress {
  readonly id: string;
  readonly vertex: string;
  readonly name: string;
  readonly current: number;
  /** 0: not known. */
  readonly total: number;
  readonly startedAt: Date;
  readonly completedAt?: Date;
}

export interface BuildWarningText {
  readonly rule: string;
  readonly short: string;
  readonly detail: string;
  readonly url: string;
  readonly place: { readonly startLine: number; readonly endLine: number } | null;
  readonly vertex: string;
}

export interface BuildResult {
  readonly imageId: string | null;
  readonly configDigest: string | null;
  readonly digest: string | null;
  readonly mediaType: string | null;
  readonly sizeBytes: number;
  readonly names: readonly string[];
  readonly warnings: readonly BuildWarningText[];
  readonly answer: { readonly text: string; readonly json: unknown } | null;
  readonly provenance: unknown;
}

/** `BuildFailure` of `build/builder.ts`. */
export interface FailedBuild {
  readonly message: string;
  readonly exitCode: number | null;
  readonly step: string | null;
  readonly lastLines: readonly string[];
  readonly excerpt: string;
  readonly stateImage: string | null;
}

export class BuildFailedError extends EngineError {
  override readonly name = 'BuildFailedError';
  readonly failure: FailedBuild;

  constructor(failure: FailedBuild) {
    super('invalid', failure.message);
    this.failure = failure;
  }
}
