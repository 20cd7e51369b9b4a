/**
 * Restarts by policy (restart-policy.ts): who waits for one, and until when. Time is the monotonic clock's, so that a changed date neither hurries nor delays
 * any of them. After `stop` no container is started any more: the daemon leaves.
 */
import type { Container } from './container.ts';
import type { LastRun, Restarting } from './container-state.ts';
import { type RestartHistory, restartAfter } from './restart-policy.ts';

/** Runs in its own time; its failures are its own to tell. */
export type StartAgain = (container: Container, waited: Restarting) => Promise<void>;

export class Restarts {
  readonly #startAgain: StartAgain;
  readonly #timers = new Set<NodeJS.Timeout>();
  #isStopped = false;

  constructor(startAgain: StartAgain) {
    this.#startAgain = startAgain;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Null: the container stays ended. */
  after(container: Container, { exitCode }: LastRun, ranMs: number, asked: boolean): RestartHistory | null {
    if (this.#isStopped) return null;
    return restartAfter(container.hostConfig.RestartPolicy, container.restarts, { exitCode, ranMs, asked });
  }

  /** The state of a container that waits for its restart. */
  wait(container: Container, last: LastRun, delayMs: number): Restarting {
    if (this.#isStopped) return { status: 'restarting', last, cancel: () => {} };
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.#startAgain(container, state);
    }, delayMs);
    this.#timers.add(timer);
    const cancel = (): void => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
    const state: Restarting = { status: 'restarting', last, cancel };
    return state;
  }

  /** Those who wait keep their state, for the next daemon. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
