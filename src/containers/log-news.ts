/** News of a running container's log for any number of followers: one subscription each, gone when the follower is. */
import type { RunningContainer } from '../runtime/runtime.ts';
import type { LogNews } from './log-files.ts';

export class ProcessLogNews implements LogNews {
  revision = 0;
  generation: number;
  ended = false;
  readonly #unsubscribe: () => void;
  #waiting: (() => void) | null = null;

  /** `signal`: the client left; the follower reads what is there and ends. */
  constructor(process: RunningContainer, signal: AbortSignal) {
    this.generation = process.logPosition.generation;
    this.#unsubscribe = process.onLog((position) => {
      this.generation = position.generation;
      this.#announce();
    });
    const end = () => {
      this.ended = true;
      this.#announce();
    };
    void process.exited.finally(end);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  }

  async changed(seen: number): Promise<void> {
    if (this.revision !== seen) return;
    await new Promise<void>((resolve) => {
      this.#waiting = resolve;
    });
  }

  close(): void {
    this.#unsubscribe();
  }

  #announce(): void {
    this.revision++;
    this.#waiting?.();
    this.#waiting = null;
  }
}
