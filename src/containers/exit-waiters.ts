/** Clients that wait for a container's end (`POST /containers/ID/wait`). */
import type { WaitResult } from './containers.ts';

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

interface Waiter {
  readonly condition: WaitCondition;
  readonly settle: PromiseWithResolvers<WaitResult>;
}

export class ExitWaiters {
  readonly #waiters = new Set<Waiter>();

  get size(): number {
    return this.#waiters.size;
  }

  /** Rejects with the signal's reason when the client leaves first. */
  add(condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
    signal.throwIfAborted();
    const settle = Promise.withResolvers<WaitResult>();
    const waiter: Waiter = { condition, settle };
    this.#waiters.add(waiter);
    const leave = () => {
      this.#waiters.delete(waiter);
      settle.reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    void settle.promise.then(
      () => signal.removeEventListener('abort', leave),
      () => {},
    );
    return settle.promise;
  }

  /** A run ended, or could not begin. */
  exited(result: WaitResult): void {
    this.#answer(result, (condition) => condition !== 'removed');
  }

  /** The container is gone: whatever they waited for will not come any more. */
  removed(result: WaitResult): void {
    this.#answer(result, () => true);
  }

  #answer(result: WaitResult, meant: (condition: WaitCondition) => boolean): void {
    for (const waiter of this.#waiters) {
      if (!meant(waiter.condition)) continue;
      this.#waiters.delete(waiter);
      waiter.settle.resolve(result);
    }
  }
}
