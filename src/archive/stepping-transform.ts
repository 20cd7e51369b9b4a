/**
 * A transform that works in steps, and rests between two of them while its reader has not taken what they gave: a few bytes may stand for gigabytes.
 */
import { Transform, type TransformCallback } from 'node:stream';

export abstract class SteppingTransform extends Transform {
  #isFull = false;
  #resume: (() => void) | null = null;

  protected abstract accept(chunk: Buffer): void;
  /** False: it needs more of the input. `isLast`: no more is coming. */
  protected abstract step(isLast: boolean): boolean;
  /** After the last step: throws when it ended too early. */
  protected abstract finish(): void;

  protected give(bytes: Buffer): void {
    if (!this.push(bytes)) this.#isFull = true;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.accept(chunk);
    this.#run(false, done);
  }

  override _flush(done: TransformCallback): void {
    this.#run(true, done);
  }

  override _read(size: number): void {
    const resume = this.#resume;
    this.#isFull = false;
    if (resume === null) {
      super._read(size);
      return;
    }
    this.#resume = null;
    resume();
    // What was asked for may not have come: the next chunk of the input is to be taken then.
    if (this.#resume === null) super._read(size);
  }

  #run(isLast: boolean, done: TransformCallback): void {
    try {
      while (this.step(isLast)) {
        if (!this.#isFull) continue;
        this.#resume = () => this.#run(isLast, done);
        return;
      }
      if (isLast) this.finish();
      done();
    } catch (error) {
      done(error as Error);
    }
  }
}
