/**
 * The key sequence that ends an attachment without ending the process (`ctrl-p,ctrl-q`), found in the bytes a client types.
 * Bytes that may begin the sequence are held back until it is clear that they do not: nothing typed is ever lost.
 */
import { invalid } from '../base/errors.ts';

const defaultKeys = 'ctrl-p,ctrl-q';

/** Docker's syntax: keys separated by commas, each one character or `ctrl-` with a letter or one of `@[\]^_`. Empty or null: the default. */
export function parseDetachKeys(text: string | null): Uint8Array {
  const given = text === null || text === '' ? defaultKeys : text;
  return Uint8Array.from(given.split(',').map((key) => keyByte(key, given)));
}

function keyByte(key: string, whole: string): number {
  const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
  // Control characters are the low five bits of their letter: ctrl-a is 1, ctrl-@ is 0, ctrl-_ is 31.
  if (control !== undefined) return control.charCodeAt(0) & 0x1f;
  if (key.length === 1 && key.charCodeAt(0) < 128) return key.charCodeAt(0);
  throw invalid(`Invalid detach keys (${whole}) provided: "${key}" is neither one character nor ctrl-<letter>`);
}

export interface Scanned {
  /** What goes on to the process; pieces of the input, not copies, wherever nothing was held back before. */
  readonly passed: readonly Uint8Array[];
  readonly detached: boolean;
}

/** Knuth–Morris–Pratt over a stream of chunks. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  readonly #fallback: readonly number[];
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
    this.#fallback = fallbackTable(keys);
  }

  scan(chunk: Uint8Array): Scanned {
    // Bytes of the sequence matched before this chunk lie in `#keys`; `held` of them are still before the chunk's start.
    const heldBefore = this.#matched;
    for (let at = 0; at < chunk.length; at++) {
      this.#advance(chunk[at] as number);
      if (this.#matched === this.#keys.length) {
        this.#matched = 0;
        return { passed: this.#pieces(heldBefore, chunk, at + 1 - this.#keys.length), detached: true };
      }
    }
    return { passed: this.#pieces(heldBefore, chunk, chunk.length - this.#matched), detached: false };
  }

  /** The input ended: what was held back was no detach sequence. */
  flush(): Uint8Array {
    const held = this.#keys.subarray(0, this.#matched);
    this.#matched = 0;
    return held;
  }

  #advance(byte: number): void {
    while (this.#matched > 0 && this.#keys[this.#matched] !== byte) this.#matched = this.#fallback[this.#matched - 1] as number;
    if (this.#keys[this.#matched] === byte) this.#matched++;
  }

  /** `end`: how much of the chunk is free to go; negative when some of what was held before stays held. */
  #pieces(heldBefore: number, chunk: Uint8Array, end: number): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    const fromHeld = heldBefore + Math.min(0, end);
    if (fromHeld > 0) pieces.push(this.#keys.subarray(0, fromHeld));
    if (end > 0) pieces.push(chunk.subarray(0, end));
    return pieces;
  }
}

/** For each prefix, the length of its longest proper suffix that is a prefix too. */
function fallbackTable(keys: Uint8Array): number[] {
  const table = new Array<number>(keys.length).fill(0);
  for (let at = 1, length = 0; at < keys.length; at++) {
    while (length > 0 && keys[at] !== keys[length]) length = table[length - 1] as number;
    if (keys[at] === keys[length]) length++;
    table[at] = length;
  }
  return table;
}
