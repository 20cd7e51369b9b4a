/** At most so many at once, for the whole daemon; the rest waits in the order of its coming. */
export class TransferSlots {
  #limit: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** Whoever comes now has to wait. */
  get full(): boolean {
    return this.#taken >= this.#limit || this.#waiting.length > 0;
  }

  /** Rejects when the signal comes first. The result gives the place back. */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.full) await this.#wait(signal);
    else this.#taken++;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#taken--;
      this.#admit();
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const admitted = () => {
        signal.removeEventListener('abort', left);
        this.#taken++;
        resolve();
      };
      const left = () => {
        const index = this.#waiting.indexOf(admitted);
        if (index !== -1) this.#waiting.splice(index, 1);
        reject(signal.reason);
      };
      this.#waiting.push(admitted);
      signal.addEventListener('abort', left, { once: true });
    });
  }

  #admit(): void {
    while (this.#taken < this.#limit && this.#waiting.length > 0) this.#waiting.shift()?.();
  }
}
