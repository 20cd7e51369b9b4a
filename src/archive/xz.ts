/**
 * Undoes xz: streams of blocks of LZMA2 chunks. Numbers are little-endian; `n` are seven bits a byte, the lowest first.
 *
 *     stream   FD 37 7A 58 5A 00 │ 00, check │ crc32 │ blocks │ index │ footer: crc32 │ u32 size of the index / 4 - 1 │ 00, check │ "YZ"     zeros may follow, and other streams
 *     block    u8 size of the header / 4 - 1 │ flags │ n sizes │ filters: n id, n bytes, properties │ zeros │ crc32 │ chunks │ zeros to 4 │ check
 *     chunk    00: the end │ 01, 02: u16be size - 1, plain │ 80…FF: u16be unpacked - 1, u16be packed - 1, [properties], packed
 *     index    00 │ n blocks │ n, n for each │ zeros to 4 │ crc32
 */
import { createHash, type Hash } from 'node:crypto';
import type { Transform } from 'node:stream';
import { crc32 } from 'node:zlib';
import { invalid } from '../base/errors.ts';
import { damaged, LzmaDecoder } from './lzma-decoder.ts';
import { SteppingTransform } from './stepping-transform.ts';

const STREAM_MAGIC = Buffer.from('fd377a585a00', 'hex');
const LZMA2 = 0x21;
/** What `xz -9` uses is half of it. */
const LARGEST_DICTIONARY_BYTES = 128 * 1024 * 1024;

export function createUnxz(): Transform {
  return new Unxz();
}

type State = 'stream' | 'block' | 'chunk' | 'check' | 'index' | 'footer' | 'padding';

class Unxz extends SteppingTransform {
  #bytes: Buffer = Buffer.alloc(0);
  #state: State = 'stream';
  #hadStream = false;
  #checkType = 0;
  #check: BlockCheck | null = null;
  #decoder: LzmaDecoder | null = null;
  #needsDictionary = true;
  /** Of the block, for its padding. */
  #packedBytes = 0;
  #blocks = 0;

  protected override accept(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  protected override step(): boolean {
    const taken = this.#next(this.#bytes);
    this.#bytes = this.#bytes.subarray(taken);
    return taken > 0;
  }

  protected override finish(): void {
    if (!this.#hadStream || this.#state !== 'padding' || this.#bytes.length > 0) throw damaged('it ends before its end');
  }

  /** The next part of it; gives its length, 0 as long as not all of it is here. */
  #next(bytes: Buffer): number {
    if (bytes.length === 0) return 0;
    switch (this.#state) {
      case 'stream':
        return this.#stream(bytes);
      case 'block':
        return bytes[0] === 0 ? this.#toIndex() : this.#block(bytes);
      case 'chunk':
        return this.#chunk(bytes);
      case 'check':
        return this.#endOfBlock(bytes);
      case 'index':
        return this.#index(bytes);
      case 'footer':
        return this.#footer(bytes);
      case 'padding':
        return this.#padding(bytes);
    }
  }

  #stream(bytes: Buffer): number {
    if (bytes.length < 12) return 0;
    if (!bytes.subarray(0, 6).equals(STREAM_MAGIC))
      throw damaged(this.#hadStream ? 'something else follows it' : 'it does not begin as such streams do');
    if (crc32(bytes.subarray(6, 8)) !== bytes.readUInt32LE(8)) throw damaged('the checksum of its header is wrong');
    if (bytes[6] !== 0 || (bytes[7] ?? 0) > 15) throw invalid('the xz stream is of a kind that is not known');
    this.#hadStream = true;
    this.#checkType = bytes[7] ?? 0;
    this.#blocks = 0;
    this.#state = 'block';
    return 12;
  }

  #block(bytes: Buffer): number {
    const length = ((bytes[0] ?? 0) + 1) * 4;
    if (bytes.length < length) return 0;
    const header = bytes.subarray(0, length - 4);
    if (crc32(header) !== bytes.readUInt32LE(length - 4)) throw damaged('the checksum of a block is wrong');
    this.#decoder = new LzmaDecoder(dictionaryOf(header));
    this.#needsDictionary = true;
    this.#check = createCheck(this.#checkType);
    this.#packedBytes = 0;
    this.#blocks++;
    this.#state = 'chunk';
    return length;
  }

  #chunk(bytes: Buffer): number {
    const control = bytes[0] ?? 0;
    const length = control === 0 ? 1 : control < 0x80 ? this.#plainChunk(bytes, control) : this.#packedChunk(bytes, control);
    this.#packedBytes += length;
    if (control === 0) this.#state = 'check';
    return length;
  }

  #plainChunk(bytes: Buffer, control: number): number {
    if (control > 2) throw damaged(`a chunk is of an unknown kind (${control})`);
    if (bytes.length < 3) return 0;
    const length = 3 + bytes.readUInt16BE(1) + 1;
    if (bytes.length < length) return 0;
    if (control === 1) this.#resetDictionary();
    const decoder = this.#ready();
    decoder.copy(bytes.subarray(3, length));
    this.#unpacked(Buffer.from(bytes.subarray(3, length)));
    return length;
  }

  #packedChunk(bytes: Buffer, control: number): number {
    const reset = (control >> 5) & 3;
    const start = reset >= 2 ? 6 : 5;
    if (bytes.length < start) return 0;
    const unpackedBytes = (((control & 0x1f) << 16) | bytes.readUInt16BE(1)) + 1;
    const length = start + bytes.readUInt16BE(3) + 1;
    if (bytes.length < length) return 0;
    if (reset === 3) this.#resetDictionary();
    const decoder = this.#ready();
    if (reset >= 2) decoder.setProperties(bytes[5] ?? 0);
    if (reset >= 1) decoder.resetState();
    this.#unpacked(decoder.decode(bytes.subarray(start, length), unpackedBytes));
    return length;
  }

  #resetDictionary(): void {
    this.#needsDictionary = false;
    this.#decoder?.resetDictionary();
  }

  #ready(): LzmaDecoder {
    if (this.#needsDictionary || this.#decoder === null) throw damaged('a block begins without emptying its dictionary');
    return this.#decoder;
  }

  #unpacked(bytes: Buffer): void {
    this.#check?.update(bytes);
    this.give(bytes);
  }

  #endOfBlock(bytes: Buffer): number {
    const padding = (4 - (this.#packedBytes % 4)) % 4;
    const length = padding + checkBytes(this.#checkType);
    if (bytes.length < length) return 0;
    if (bytes.subarray(0, padding).some((byte) => byte !== 0)) throw damaged('the end of a block is not zeros');
    const found = this.#check?.digest();
    if (found !== undefined && !found.equals(bytes.subarray(padding, length))) throw damaged('the checksum of a block is wrong');
    this.#decoder = null;
    this.#state = 'block';
    // With nothing to take the state changes all the same.
    return length === 0 ? this.#next(bytes) : length;
  }

  #toIndex(): number {
    this.#state = 'index';
    return 1;
  }

  /** Its first byte was taken. */
  #index(bytes: Buffer): number {
    const indexed = readIndex(bytes, this.#blocks);
    if (indexed === null || bytes.length < indexed + 4) return 0;
    const whole = Buffer.concat([Buffer.of(0), bytes.subarray(0, indexed)]);
    if (crc32(whole) !== bytes.readUInt32LE(indexed)) throw damaged('the checksum of its index is wrong');
    this.#state = 'footer';
    return indexed + 4;
  }

  #footer(bytes: Buffer): number {
    if (bytes.length < 12) return 0;
    if (
      crc32(bytes.subarray(4, 10)) !== bytes.readUInt32LE(0) ||
      bytes[9] !== this.#checkType ||
      bytes.toString('latin1', 10, 12) !== 'YZ'
    ) {
      throw damaged('it does not end as such streams do');
    }
    this.#state = 'padding';
    return 12;
  }

  /** Zeros in fours between streams. */
  #padding(bytes: Buffer): number {
    if (bytes[0] !== 0) {
      this.#state = 'stream';
      return this.#stream(bytes);
    }
    if (bytes.length < 4) return 0;
    if (bytes.readUInt32LE(0) !== 0) throw damaged('something else follows it');
    return 4;
  }
}

/** Of the only filter, which is LZMA2. */
function dictionaryOf(header: Buffer): number {
  const flags = header[1] ?? 0;
  if ((flags & 0x3c) !== 0) throw invalid('the xz stream is of a kind that is not known');
  if ((flags & 3) !== 0)
    throw invalid('the xz stream uses a filter for programs, which is not supported: compress it without --x86 and the like');
  let at = 2;
  const next = () => {
    const { value, end } = readNumber(header, at) ?? damagedHeader();
    at = end;
    return value;
  };
  if ((flags & 0x40) !== 0) next();
  if ((flags & 0x80) !== 0) next();
  const id = next();
  const size = next();
  if (id !== LZMA2 || size !== 1) throw invalid(`the xz stream uses a filter (${id}) that is not supported: compress it with lzma2`);
  const bits = header[at] ?? 255;
  if (bits > 40) throw damaged('its dictionary is out of range');
  const bytes = bits === 40 ? 2 ** 32 - 1 : (2 | (bits & 1)) * 2 ** ((bits >> 1) + 11);
  if (bytes > LARGEST_DICTIONARY_BYTES) {
    throw invalid(
      `the xz stream asks for a dictionary of ${bytes} bytes, more than ${LARGEST_DICTIONARY_BYTES}, the limit: compress it with -9 or less`,
    );
  }
  return bytes;
}

function damagedHeader(): never {
  throw damaged('the header of a block is wrong');
}

/** Null: it is not all here. */
function readNumber(bytes: Buffer, start: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, end: at + 1 };
    if (at - start >= 8) throw damaged('a number is too long');
  }
  return null;
}

/** Where its checksum begins; null: it is not all here. */
function readIndex(bytes: Buffer, blocks: number): number | null {
  const count = readNumber(bytes, 0);
  if (count === null) return null;
  if (count.value !== blocks) throw damaged('its index has another number of blocks');
  let at = count.end;
  for (let left = blocks * 2; left > 0; left--) {
    const number = readNumber(bytes, at);
    if (number === null) return null;
    at = number.end;
  }
  // With the byte before it.
  return at + ((4 - ((at + 1) % 4)) % 4);
}

interface BlockCheck {
  update(bytes: Buffer): void;
  digest(): Buffer;
}

function checkBytes(type: number): number {
  return [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64][type] ?? 0;
}

/** Null: there is none, or nobody knows how it is computed. */
function createCheck(type: number): BlockCheck | null {
  if (type === 1) return new Crc32Check();
  if (type === 4) return new Crc64Check();
  return type === 10 ? new HashCheck() : null;
}

class Crc32Check implements BlockCheck {
  #value = 0;

  update(bytes: Buffer): void {
    this.#value = crc32(bytes, this.#value);
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(this.#value);
    return bytes;
  }
}

class HashCheck implements BlockCheck {
  readonly #hash: Hash = createHash('sha256');

  update(bytes: Buffer): void {
    this.#hash.update(bytes);
  }

  digest(): Buffer {
    return this.#hash.digest();
  }
}

/** ECMA-182, in two halves. */
class Crc64Check implements BlockCheck {
  #high = 0xffffffff;
  #low = 0xffffffff;

  update(bytes: Buffer): void {
    const { highs, lows } = crc64Tables();
    let [high, low] = [this.#high, this.#low];
    for (let at = 0; at < bytes.length; at++) {
      const index = (low ^ (bytes[at] ?? 0)) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ (lows[index] ?? 0);
      high = (high >>> 8) ^ (highs[index] ?? 0);
    }
    this.#high = high;
    this.#low = low;
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(8);
    bytes.writeInt32LE(~this.#low, 0);
    bytes.writeInt32LE(~this.#high, 4);
    return bytes;
  }
}

let tables: { readonly highs: Int32Array; readonly lows: Int32Array } | null = null;

function crc64Tables(): NonNullable<typeof tables> {
  if (tables !== null) return tables;
  const [highs, lows] = [new Int32Array(256), new Int32Array(256)];
  for (let byte = 0; byte < 256; byte++) {
    let [high, low] = [0, byte];
    for (let bit = 0; bit < 8; bit++) {
      const isSet = (low & 1) === 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (isSet) {
        low ^= 0xd7870f42;
        high ^= 0xc96c5795;
      }
    }
    highs[byte] = high;
    lows[byte] = low;
  }
  tables = { highs, lows };
  return tables;
}
