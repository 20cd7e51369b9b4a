/** The key sequence that leaves a container running (`ctrl-p,ctrl-q`), and the scanner that takes it out of what is typed. */
import { CliError } from '../cli-error.ts';

export const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q';

const CONTROL: Readonly<Record<string, number>> = { '@': 0, '[': 27, '\\': 28, ']': 29, '^': 30, _: 31 };

export function parseDetachKeys(text: string): Buffer {
  return Buffer.from(text.split(',').map((key) => keyCode(key, text)));
}

function keyCode(key: string, text: string): number {
  if (key.length === 1) return key.charCodeAt(0) & 0xff;
  const control = /^ctrl-(.)$/i.exec(key)?.[1]?.toLowerCase();
  if (control !== undefined && control >= 'a' && control <= 'z') return control.charCodeAt(0) - 96;
  const other = control === undefined ? undefined : CONTROL[control];
  if (key === 'DEL') return 127;
  if (other === undefined) throw new CliError(`invalid detach keys (${text}): unknown character '${key}'`);
  return other;
}

/** Holds back what may be the start of the sequence until it is clear. */
export class DetachScanner {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** The bytes to pass on; `detached` when the sequence was completed (what came after it is dropped). */
  scan(chunk: Buffer): { readonly pass: Buffer; readonly detached: boolean } {
    if (this.#keys.length === 0 || (this.#matched === 0 && !chunk.includes(this.#keys[0] ?? 0))) return { pass: chunk, detached: false };
    const pass: number[] = [];
    for (const byte of chunk) {
      if (byte !== this.#keys[this.#matched]) this.#mismatch(pass);
      if (byte === this.#keys[this.#matched]) this.#matched += 1;
      else pass.push(byte);
      if (this.#matched === this.#keys.length) {
        this.#matched = 0;
        return { pass: Buffer.from(pass), detached: true };
      }
    }
    return { pass: Buffer.from(pass), detached: false };
  }

  #mismatch(pass: number[]): void {
    pass.push(...this.#keys.subarray(0, this.#matched));
    this.#matched = 0;
  }
}
