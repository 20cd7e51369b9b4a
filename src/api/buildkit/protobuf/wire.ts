/**
 * Protobuf's wire format: tags, varints and length-prefixed bytes. What comes from outside is checked here: nothing is read behind the end, lengths must fit, groups (gone since
 * proto2) are refused.
 *
 *     tag = number << 3 | type      type 0 varint · 1 eight bytes · 2 length, bytes · 5 four bytes
 */
import { invalid } from '../../../base/errors.ts';

export type WireType = 0 | 1 | 2 | 5;

const varintBytes = 10;
const largestFieldNumber = 2 ** 29 - 1;

export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;
  /** How deep in nested messages this one is. */
  readonly depth: number;

  constructor(bytes: Uint8Array, depth = 0) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.depth = depth;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  tag(): { readonly number: number; readonly type: WireType } {
    const value = this.#varint();
    const number = Number(value >> 3n);
    const type = Number(value & 7n);
    if (number < 1 || number > largestFieldNumber) throw malformed(`there is no field ${number}`);
    if (type !== 0 && type !== 1 && type !== 2 && type !== 5) throw malformed(`field ${number} is of the unknown wire type ${type}`);
    return { number, type };
  }

  /** As 64 bits. */
  varint(): bigint {
    return BigInt.asUintN(64, this.#varint());
  }

  /** A view, not a copy. */
  bytes(): Buffer {
    const length = this.#varint();
    if (length > BigInt(this.#bytes.length - this.#at)) throw malformed('it ends within a field');
    return this.#take(Number(length));
  }

  skip(type: WireType): void {
    if (type === 0) this.#varint();
    else if (type === 2) this.bytes();
    else this.#take(type === 1 ? 8 : 4);
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw malformed('it ends within a field');
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  #varint(): bigint {
    let small = 0;
    // Nearly all are below 2^28, and bigints are slow.
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      small |= (byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt(small);
    }
    let value = BigInt(small);
    for (let index = 4; index < varintBytes; index += 1) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) return value;
    }
    throw malformed('a number is longer than ten bytes');
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw malformed('it ends within a field');
    this.#at += 1;
    return byte;
  }
}

export class WireWriter {
  readonly #parts: Uint8Array[] = [];

  tag(number: number, type: WireType): void {
    this.varint(BigInt(number) * 8n + BigInt(type));
  }

  /** Negative ones as Go writes them: 64 bits, two's complement. */
  varint(value: bigint): void {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, value);
    for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    bytes.push(Number(rest));
    this.#parts.push(Uint8Array.from(bytes));
  }

  bytes(value: Uint8Array): void {
    this.varint(BigInt(value.length));
    this.#parts.push(value);
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

export function malformed(why: string): Error {
  return invalid(`malformed protobuf message: ${why}`);
}
