/**
 * A stream in pieces, each of which ends where the stream pauses: whoever writes a piece at a time has written what came before he waits for more. Readers of a fetch wait for what is on
 * the disk, and a batch that is not full would keep it from them.
 */
export class Portions {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #pauseMs: number;
  readonly #mostBytes: number;
  /** Asked for, and not yielded yet. */
  #next: Promise<IteratorResult<Uint8Array>> | null = null;
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>, options: { readonly pauseMs: number; readonly mostBytes: number }) {
    this.#source = source[Symbol.asyncIterator]();
    this.#pauseMs = options.pauseMs;
    this.#mostBytes = options.mostBytes;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What fails in the stream is thrown. */
  async *portion(): AsyncGenerator<Uint8Array> {
    for (let sizeBytes = 0; sizeBytes < this.#mostBytes; ) {
      const result = await this.#within(sizeBytes === 0 ? null : this.#pauseMs);
      if (result === 'pause') return;
      if (result.done) {
        this.#ended = true;
        return;
      }
      sizeBytes += result.value.length;
      yield result.value;
    }
  }

  async close(): Promise<void> {
    this.#next?.catch(() => {});
    if (!this.#ended) await this.#source.return?.();
  }

  async #within(patienceMs: number | null): Promise<IteratorResult<Uint8Array> | 'pause'> {
    const next = this.#next ?? this.#source.next();
    this.#next = next;
    const pause = Promise.withResolvers<'pause'>();
    const timer = patienceMs === null ? null : setTimeout(() => pause.resolve('pause'), patienceMs);
    try {
      const result = await (timer === null ? next : Promise.race([next, pause.promise]));
      if (result !== 'pause') this.#next = null;
      return result;
    } finally {
      if (timer !== null) clearTimeout(timer);
    }
  }
}
