/** Waiting between attempts: longer each time, never in step with others, as long as the other side asks for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RegistryError } from './registry-error.ts';

export interface Backoff {
  readonly firstMs: number;
  readonly capMs: number;
}

export const defaultBackoff: Backoff = { firstMs: 500, capMs: 30_000 };

/** Longer than this nobody waits for an answer: the error says what the registry asked for. */
export const patienceMs = 5 * 60_000;

/** `failures`: attempts in a row that brought nothing, from 1 on. Null: the registry asks for more patience than anybody has. */
export function delayMs(failures: number, thrown: unknown, backoff: Backoff, random: () => number = Math.random): number | null {
  const asked = thrown instanceof RegistryError ? thrown.failure.retryAfterMs : undefined;
  if (asked !== undefined) return asked > patienceMs ? null : asked + random() * 250;
  const grown = Math.min(backoff.capMs, backoff.firstMs * 2 ** Math.max(0, failures - 1));
  return grown / 2 + (random() * grown) / 2;
}

export function isRetryable(thrown: unknown): boolean {
  return thrown instanceof RegistryError && thrown.failure.retryable;
}

/** Tells the seconds that are left as they pass, as `Retrying in 3 seconds` wants them. */
export async function waitBeforeRetry(ms: number, signal: AbortSignal | undefined, onRetry?: (seconds: number) => void): Promise<void> {
  let left = ms;
  while (left > 0) {
    onRetry?.(Math.ceil(left / 1000));
    const step = left % 1000 || 1000;
    try {
      await sleep(step, undefined, signal ? { signal } : {});
    } catch (thrown) {
      throw signal?.aborted ? signal.reason : thrown;
    }
    left -= step;
  }
}

/** Nobody is told of these waits. */
const silenceMs = 15_000;

/** For requests that are small and may be sent again. */
export async function withRetries<T>(
  attempts: number,
  signal: AbortSignal | undefined,
  ask: () => Promise<T>,
  backoff = defaultBackoff,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await ask();
    } catch (thrown) {
      if (signal?.aborted) throw signal.reason;
      const delay = failures < attempts && isRetryable(thrown) ? delayMs(failures, thrown, backoff) : null;
      if (delay === null || delay > silenceMs) throw thrown;
      await waitBeforeRetry(delay, signal);
    }
  }
}
