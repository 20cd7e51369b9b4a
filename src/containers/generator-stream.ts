/**
 * A byte stream from a generator that may be waiting for something. `Readable.from` asks the generator to return before it tells anybody that the reader left;
 * one that waits for news would never hear of it. Here `onDestroy` comes first and wakes it.
 */
import { Readable } from 'node:stream';

const bufferBytes = 64 * 1024;

export class GeneratorStream extends Readable {
  readonly #source: AsyncGenerator<Buffer>;
  readonly #onDestroy: () => void;
  #pulling = false;

  constructor(source: AsyncGenerator<Buffer>, onDestroy: () => void) {
    super({ highWaterMark: bufferBytes });
    this.#source = source;
    this.#onDestroy = onDestroy;
  }

  override _read(): void {
    if (this.#pulling) return;
    this.#pulling = true;
    this.#pull().catch((error) => this.destroy(error));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#onDestroy();
    this.#source.return(undefined).then(
      () => callback(error),
      (failure) => callback(error ?? failure),
    );
  }

  async #pull(): Promise<void> {
    for (let wanted = true; wanted && !this.destroyed; ) {
      const { value, done } = await this.#source.next();
      if (this.destroyed) return;
      wanted = this.push(done === true ? null : value) && done !== true;
    }
    this.#pulling = false;
  }
}
