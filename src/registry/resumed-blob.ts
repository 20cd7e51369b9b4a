/** A blob of another registry as one stream that goes on where it was cut. */

import { delayMs, isRetryable, waitBeforeRetry } from '../distribution/pause.ts';
import type { Repository } from '../distribution/registry-client.ts';
import type { Descriptor } from '../oci/manifest.ts';

export interface ResumeOptions {
  readonly attempts: number;
  readonly firstPauseMs: number;
  /** When it asks for more, it is given up. */
  readonly longestPauseMs: number;
}

export const patientResume: ResumeOptions = { attempts: 5, firstPauseMs: 500, longestPauseMs: 300_000 };

/** Bytes from `offsetBytes` to the end that was announced; attempts count anew whenever bytes came. */
export async function* resumedBlob(
  repository: Repository,
  blob: Pick<Descriptor, 'digest' | 'size'>,
  offsetBytes: number,
  signal: AbortSignal,
  { attempts, firstPauseMs, longestPauseMs }: ResumeOptions = patientResume,
): AsyncGenerator<Uint8Array> {
  let at = offsetBytes;
  for (let failures = 0; at < blob.size; ) {
    try {
      for await (const chunk of bytesFrom(repository, blob, at, signal)) {
        at += chunk.length;
        failures = 0;
        yield chunk;
      }
    } catch (thrown) {
      if (!isRetryable(thrown) || ++failures >= attempts) throw thrown;
      const delay = delayMs(failures, thrown, { firstMs: firstPauseMs, capMs: Math.min(longestPauseMs, 30_000) });
      if (delay === null || delay > longestPauseMs) throw thrown;
      await waitBeforeRetry(delay, signal);
    }
  }
}

async function* bytesFrom(
  repository: Repository,
  blob: Pick<Descriptor, 'digest' | 'size'>,
  offsetBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { startsAt, bytes } = await repository.blob(blob, offsetBytes, signal);
  // A registry without ranges begins at the beginning.
  let skip = offsetBytes - startsAt;
  for await (const chunk of bytes) {
    if (skip < chunk.length) yield skip === 0 ? chunk : chunk.subarray(skip);
    skip = Math.max(0, skip - chunk.length);
  }
}
