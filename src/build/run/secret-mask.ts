/**
 * Output of a process without the secrets that it was given: each of their values is written as `****`. What might be the start of a value is held back until more of the output, or its end,
 * tells.
 */
import type { OutputSink } from '../solve/solver.ts';

const mask = Buffer.from('****');

export interface MaskedOutput {
  readonly sink: OutputSink;
  /** The output is complete: what was held back is given out. */
  end(): void;
}

export function maskSecrets(output: OutputSink, secrets: readonly Uint8Array[]): MaskedOutput {
  // The longest first: one that is part of another would leave the rest of it.
  const values = secrets
    .map((secret) => Buffer.from(secret))
    .filter(({ length }) => length > 0)
    .sort((a, b) => b.length - a.length);
  if (values.length === 0) return { sink: output, end: () => {} };
  const streams = {
    stdout: new MaskedStream(values, (bytes) => output('stdout', bytes)),
    stderr: new MaskedStream(values, (bytes) => output('stderr', bytes)),
  };
  return {
    sink: (stream, bytes) => streams[stream].take(bytes),
    end() {
      streams.stdout.end();
      streams.stderr.end();
    },
  };
}

class MaskedStream {
  readonly #values: readonly Buffer[];
  readonly #output: (bytes: Uint8Array) => void;
  #held: Buffer = Buffer.alloc(0);

  constructor(values: readonly Buffer[], output: (bytes: Uint8Array) => void) {
    this.#values = values;
    this.#output = output;
  }

  take(bytes: Uint8Array): void {
    const all = this.#held.length === 0 ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) : Buffer.concat([this.#held, bytes]);
    const { shown, held } = this.#mask(all, false);
    // A copy: the piece may be a small part of a large read.
    this.#held = Buffer.from(held);
    if (shown.length > 0) this.#output(shown);
  }

  end(): void {
    const { shown } = this.#mask(this.#held, true);
    this.#held = Buffer.alloc(0);
    if (shown.length > 0) this.#output(shown);
  }

  #mask(bytes: Buffer, isEnd: boolean): { readonly shown: Buffer; readonly held: Buffer } {
    const shown: Buffer[] = [];
    for (let rest = bytes; ; ) {
      const heldAt = isEnd ? rest.length : rest.length - this.#startOfValue(rest);
      const first = this.#firstValue(rest);
      // A value that may go on as a longer one waits for it.
      if (first === null || (first.at >= heldAt && !isEnd)) {
        shown.push(rest.subarray(0, heldAt));
        return { shown: Buffer.concat(shown), held: rest.subarray(heldAt) };
      }
      shown.push(rest.subarray(0, first.at), mask);
      rest = rest.subarray(first.at + first.length);
    }
  }

  #firstValue(bytes: Buffer): { readonly at: number; readonly length: number } | null {
    const [first = null] = this.#values
      .map((value) => ({ at: bytes.indexOf(value), length: value.length }))
      .filter(({ at }) => at !== -1)
      .sort((a, b) => a.at - b.at || b.length - a.length);
    return first;
  }

  /** How many bytes at the end may be the start of a value. */
  #startOfValue(bytes: Buffer): number {
    return Math.max(...this.#values.map((value) => overlap(bytes, value)));
  }
}

/** The longest end of `bytes` that is a start of `value` and not all of it. */
function overlap(bytes: Buffer, value: Buffer): number {
  for (let length = Math.min(bytes.length, value.length - 1); length > 0; length--) {
    if (bytes[bytes.length - length] === value[0] && bytes.subarray(bytes.length - length).equals(value.subarray(0, length))) return length;
  }
  return 0;
}
