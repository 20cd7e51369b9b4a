/**
 * Contexts as directories below the data root: received from a client (a tar, or only what changed), fetched by git, or unpacked from what an address answers. Files keep their modes and
 * times, belong to 0:0, and have their digests in an index.
 *
 * A context is its build's until it is released; one with a shared key stays for the next build of the same folder, and counts as cache (`source.local`).
 */
import type { ContextTransfer } from '../build-client.ts';
import type { CachePruneOptions, CacheUsage } from '../cache/build-cache.ts';
import type { ContextFiles } from '../result.ts';

export interface ContextStore {
  receive(transfer: ContextTransfer, progress: ReceiveProgress, signal: AbortSignal): Promise<HeldContext>;
  /** All forms of dockerfile.md section 3; also for ADD. `secret`: of the build's client, for tokens (`GIT_AUTH_TOKEN`, `GIT_AUTH_HEADER`). */
  git(request: GitRequest, signal: AbortSignal): Promise<HeldContext & { readonly commit: string; readonly committedAt: Date }>;
  /** An archive is unpacked; anything else is one file. Also for ADD. */
  http(
    request: HttpRequest,
    signal: AbortSignal,
  ): Promise<HeldContext & { readonly digest: string; readonly isArchive: boolean; readonly fileName: string }>;
  empty(): Promise<HeldContext>;
  /** The newest time of anything in it, seconds since 1970: `--timestamp=context`. */
  newestTime(files: ContextFiles): Promise<number>;
  /** Of contexts that stay. */
  usage(): Promise<readonly CacheUsage[]>;
  prune(options: CachePruneOptions): Promise<{ readonly deleted: readonly string[]; readonly reclaimedBytes: number }>;
}

export interface HeldContext {
  readonly files: ContextFiles;
  /** Of everything in it by content. */
  readonly digest: string;
  /** By path: files that came with it and that no COPY is to see. */
  readonly withheld?: ReadonlyMap<string, Uint8Array>;
  release(): Promise<void>;
}

export type ReceiveProgress = (receivedBytes: number) => void;

export interface GitRequest {
  readonly url: string;
  readonly keepGitDirectory: boolean;
  /** Commit, or the start of one, that it must be; null: any. */
  readonly checksum: string | null;
  secret(id: string): Promise<Uint8Array | null>;
  connectSshAgent: (() => Promise<import('node:stream').Duplex>) | null;
}

export interface HttpRequest {
  readonly url: string;
  /** `sha256:…`; null: any. */
  readonly checksum: string | null;
  /** False: one file, whatever it holds. */
  readonly unpack: boolean;
  secret(id: string): Promise<Uint8Array | null>;
}
