/** Work that several callers wait for and that ends early only when all of them have given up. */
export class SharedJob<T, Listener> {
  readonly #cancel = new SharedArrayBuffer(4);
  readonly #listeners = new Set<Listener>();
  readonly #result: Promise<T>;
  #waiting = 0;

  /** `cancel` holds a 32-bit flag that `work` looks at now and then. */
  constructor(work: (cancel: SharedArrayBuffer, listeners: ReadonlySet<Listener>) => Promise<T>) {
    this.#result = work(this.#cancel, this.#listeners);
  }

  get cancelled(): boolean {
    return Atomics.load(new Int32Array(this.#cancel), 0) !== 0;
  }

  cancel(): void {
    Atomics.store(new Int32Array(this.#cancel), 0, 1);
  }

  /** Never rejects. */
  get settled(): Promise<void> {
    return this.#result.then(
      () => {},
      () => {},
    );
  }

  /** The last caller that gives up waits for the work to have stopped, so that it finds nothing of it left. */
  async wait(signal: AbortSignal, listener?: Listener): Promise<T> {
    signal.throwIfAborted();
    this.#waiting++;
    if (listener !== undefined) this.#listeners.add(listener);
    const gaveUp = Promise.withResolvers<never>();
    const leave = () => {
      this.#waiting--;
      if (this.#waiting === 0) this.cancel();
      else gaveUp.reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([this.#result, gaveUp.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
      if (!signal.aborted) this.#waiting--;
      if (listener !== undefined) this.#listeners.delete(listener);
    }
  }
}
