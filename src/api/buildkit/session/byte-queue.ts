/** Bytes of one file of several that share a connection, on their way to who reads it. */

/** What all queues of one connection hold together. */
export interface QueueBudget {
  heldBytes: number;
  readonly limitBytes: number;
}

export class ByteQueue {
  readonly #budget: QueueBudget;
  readonly #chunks: Uint8Array[] = [];
  #state: 'open' | 'ended' | 'dropped' | Error = 'open';
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};

  constructor(budget: QueueBudget) {
    this.#budget = budget;
  }

  /** Waits while the budget is used up and this queue has a part in it: one that is empty may always have a chunk, so that a reader is never waited for in vain. */
  async push(chunk: Uint8Array): Promise<void> {
    if (this.#state !== 'open') return;
    this.#chunks.push(chunk);
    this.#budget.heldBytes += chunk.length;
    this.#wakeReader();
    while (this.#state === 'open' && this.#chunks.length > 0 && this.#budget.heldBytes > this.#budget.limitBytes)
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
  }

  end(): void {
    if (this.#state === 'open') this.#state = 'ended';
    this.#wakeReader();
  }

  fail(error: Error): void {
    if (this.#state === 'open') this.#state = error;
    this.#wakeReader();
    this.#wakeWriter();
  }

  /** Nobody reads any more: what still comes is thrown away. */
  drop(): void {
    this.#state = 'dropped';
    for (const chunk of this.#chunks.splice(0)) this.#budget.heldBytes -= chunk.length;
    this.#wakeWriter();
  }

  async *take(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#budget.heldBytes -= chunk.length;
        this.#wakeWriter();
        yield chunk;
      } else if (this.#state === 'open')
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
      else if (this.#state instanceof Error) throw this.#state;
      else return;
    }
  }
}
