/** How long a stop waits for the process before it kills it. Others may shorten the wait, never lengthen it. */
export class StopPatience {
  readonly #over = Promise.withResolvers<'out-of-patience'>();
  #deadline = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;

  /** Resolves when the time is up; never for an endless wait. */
  get over(): Promise<'out-of-patience'> {
    return this.#over.promise;
  }

  shorten(timeoutMs: number): void {
    const deadline = performance.now() + timeoutMs;
    if (deadline >= this.#deadline) return;
    this.#deadline = deadline;
    this.end();
    // Longer delays than this overflow Node's timers and would fire at once.
    this.#timer = setTimeout(() => this.#over.resolve('out-of-patience'), Math.min(timeoutMs, 2 ** 31 - 1));
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Docker's seconds: a negative number waits for ever. */
export function patienceMs(timeoutSeconds: number): number {
  return timeoutSeconds < 0 ? Number.POSITIVE_INFINITY : timeoutSeconds * 1000;
}
