/**
 * A whole blob, however often the way to it breaks: each attempt goes on where the last one ended.
 *
 *     sink has n bytes ─► GET from n ── all there ─► done
 *           ▲                 ├─ cut, stalled, 429, 5xx ─► wait ─┐
 *           │                 └─ no ranges (200, 416, a wrong part) ─► restart ┤
 *           └────────────────────────────────────────────────────┘
 *
 * Attempts count only while nothing comes: a way that breaks every minute still gets there. No byte that the sink has is asked for again, unless the registry serves
 * no ranges. Size and digest are checked by whoever owns the sink, before anything is visible.
 */
import { type Backoff, defaultBackoff, delayMs, isRetryable, waitBeforeRetry } from './pause.ts';
import type { BlobBody, BlobDescriptor, Repository } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';

/** Where the bytes of one blob are gathered. What a cut download left is where the next one goes on. */
export interface BlobSink {
  /** Bytes that are there already. */
  readonly sizeBytes: number;
  /** Resolves when more may come. */
  append(bytes: Uint8Array): Promise<void>;
  /** From byte 0 again: the registry serves no ranges, or what was there proved to be something else. */
  restart(): Promise<void>;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes in the sink, after each piece and each restart. */
  onProgress?(sizeBytes: number): void;
  /** Once a second while waiting: `Retrying in N seconds`. */
  onRetry?(seconds: number, reason: unknown): void;
  readonly backoff?: Backoff;
}

/** Resolves when the sink has all bytes of the descriptor. */
export async function downloadBlob(
  repository: Repository,
  descriptor: BlobDescriptor,
  sink: BlobSink,
  options: DownloadOptions = {},
): Promise<void> {
  const { signal, backoff = defaultBackoff } = options;
  if (sink.sizeBytes > descriptor.size) await sink.restart();
  let restarts = 0;
  for (let failures = 0; sink.sizeBytes < descriptor.size; ) {
    signal?.throwIfAborted();
    const before = sink.sizeBytes;
    try {
      await attempt(repository, descriptor, sink, options);
    } catch (thrown) {
      if (signal?.aborted) throw signal.reason;
      if (before > 0 && isRangeProblem(thrown) && restarts++ === 0) {
        await sink.restart();
        continue;
      }
      if (!isRetryable(thrown)) throw thrown;
      failures = sink.sizeBytes > before ? 1 : failures + 1;
      const delay = failures < repository.maxAttempts ? delayMs(failures, thrown, backoff) : null;
      if (delay === null) throw thrown;
      await waitBeforeRetry(delay, signal, (seconds) => options.onRetry?.(seconds, thrown));
    }
  }
}

/** Refused, or answered with something else than was asked for: behind such a proxy the part that is here would stand in the way of every later pull too. */
function isRangeProblem(thrown: unknown): boolean {
  if (!(thrown instanceof RegistryError) || thrown.failure.retryable) return false;
  return thrown.failure.status === 416 || thrown.failure.status === 206;
}

async function attempt(repository: Repository, descriptor: BlobDescriptor, sink: BlobSink, options: DownloadOptions): Promise<void> {
  const body: BlobBody = await repository.blob(descriptor, sink.sizeBytes, options.signal);
  let isFromStart = body.startsAt !== sink.sizeBytes;
  for await (const bytes of body.bytes) {
    if (isFromStart) await sink.restart();
    isFromStart = false;
    await sink.append(bytes);
    options.onProgress?.(sink.sizeBytes);
  }
}
