/**
 * Restarts by policy (restart-policy.ts): who waits for one, and until when. Time is the monotonic clock's, so that a changed date neither hurries nor delays
 * any of them. The daemon leaves either way:
 *
 *   end    containers stop with it: none is started again, and no stop is remembered as somebody's wish
 *   close  containers run on: what waits, and what ends from here on, is the next daemon's to start
 */
import type { Container } from './container.ts';
import type { LastRun, Restarting } from './container-state.ts';
import { type RestartHistory, restartAfter } from './restart-policy.ts';

/** Runs in its own time; its failures are its own to tell. */
export type StartAgain = (container: Container, waited: Restarting) => Promise<void>;

export class Restarts {
  readonly #startAgain: StartAgain;
  readonly #timers = new Set<NodeJS.Timeout>();
  #isEnded = false;
  #isClosed = false;

  constructor(startAgain: StartAgain) {
    this.#startAgain = startAgain;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Nothing is started by this daemon any more. */
  get isOver(): boolean {
    return this.#isEnded || this.#isClosed;
  }

  /** Null: the container stays ended. */
  after(container: Container, { exitCode }: LastRun, ranMs: number, asked: boolean): RestartHistory | null {
    if (this.#isEnded) return null;
    return restartAfter(container.hostConfig.RestartPolicy, container.restarts, { exitCode, ranMs, asked });
  }

  /** The state of a container that waits for its restart. */
  wait(container: Container, last: LastRun, delayMs: number): Restarting {
    if (this.isOver) return { status: 'restarting', last, cancel: () => {} };
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

  end(): void {
    this.#isEnded = true;
    this.#clearTimers();
  }

  close(): void {
    this.#isClosed = true;
    this.#clearTimers();
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
