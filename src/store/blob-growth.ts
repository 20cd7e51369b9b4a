/**
 * How far a file that is still being written can be read, told to other threads by shared memory:
 *
 *     0  int32   sequence     changes with everything below; waited on
 *     4  int32   state        growing, complete, failed
 *     8  int32   epoch        rises when the file starts again from byte 0
 *    16  int64   available    bytes that are in the file
 *
 * The writer raises the epoch before it shortens the file, so bytes that were read while the epoch was still the old one are good.
 */

export type GrowthState = 'growing' | 'complete' | 'failed';

const states: readonly GrowthState[] = ['growing', 'complete', 'failed'];
const SEQUENCE = 0;
const STATE = 1;
const EPOCH = 2;
const sizeBytes = 24;
const availableOffset = 16;

/** The writer's side. */
export class BlobGrowth {
  readonly shared = new SharedArrayBuffer(sizeBytes);
  readonly #words = new Int32Array(this.shared, 0, 4);
  readonly #available = new BigInt64Array(this.shared, availableOffset);

  get epoch(): number {
    return Atomics.load(this.#words, EPOCH);
  }

  reached(bytes: number): void {
    Atomics.store(this.#available, 0, BigInt(bytes));
    this.#wake();
  }

  /** Nothing more comes: all is there, or what is there is all that there will be. */
  end(state: 'complete' | 'failed'): void {
    Atomics.store(this.#words, STATE, states.indexOf(state));
    this.#wake();
  }

  /** From byte 0 again. */
  restart(): void {
    Atomics.add(this.#words, EPOCH, 1);
    Atomics.store(this.#available, 0, 0n);
    Atomics.store(this.#words, STATE, states.indexOf('growing'));
    this.#wake();
  }

  #wake(): void {
    Atomics.add(this.#words, SEQUENCE, 1);
    Atomics.notify(this.#words, SEQUENCE);
  }
}

/** The reader's side, in another thread. */
export class GrowthReader {
  readonly #words: Int32Array;
  readonly #available: BigInt64Array;
  /** What the file was when reading began. */
  readonly epoch: number;

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, 4);
    this.#available = new BigInt64Array(shared, availableOffset);
    this.epoch = Atomics.load(this.#words, EPOCH);
  }

  get restarted(): boolean {
    return Atomics.load(this.#words, EPOCH) !== this.epoch;
  }

  /** Bytes beyond `offset` that can be read, and whether more will come; waits for at least one, the end, or a while. */
  async beyond(offset: number, waitMs: number): Promise<{ readonly bytes: number; readonly state: GrowthState }> {
    // The sequence first: what changes after this look ends the wait at once.
    const sequence = Atomics.load(this.#words, SEQUENCE);
    const now = this.#look(offset);
    if (now.bytes > 0 || now.state !== 'growing' || this.restarted) return now;
    const { value } = Atomics.waitAsync(this.#words, SEQUENCE, sequence, waitMs);
    await value;
    return this.#look(offset);
  }

  #look(offset: number): { readonly bytes: number; readonly state: GrowthState } {
    // The state first: when it says complete, the count that is read after it is the last one.
    const state = states[Atomics.load(this.#words, STATE)] ?? 'failed';
    return { bytes: Number(Atomics.load(this.#available, 0)) - offset, state };
  }
}
