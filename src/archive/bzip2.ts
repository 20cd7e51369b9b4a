/**
 * Undoes bzip2, a block at a time. A stream is `BZh1`…`BZh9` (blocks of 100 kB times that), blocks, and a trailer; bits count from the highest.
 *
 *     48 bits 0x314159265359 │ crc 32 │ randomised 1 │ origin 24 │ symbols used 16 + n·16 │ tables 3 │ selectors 15 │ … │ code lengths │ codes
 *     48 bits 0x177245385090 │ crc of all blocks 32 │ up to 7 bits to the next byte; another stream may follow
 *
 * Codes are Huffman's, by one of up to six tables that changes every 50 symbols; the symbols are a move-to-front of a Burrows-Wheeler transform, with runs of its first symbol counted;
 * what comes out of that has runs of four and more equal bytes shortened.
 */
import type { Transform } from 'node:stream';
import { invalid } from '../base/errors.ts';
import { SteppingTransform } from './stepping-transform.ts';

const BLOCK_MAGIC = [0x314159, 0x265359] as const;
const END_MAGIC = [0x177245, 0x385090] as const;
/** No block takes more: 900,000 symbols of 20 bits, and its tables. */
const LARGEST_BLOCK_BYTES = 2_400_000;
const GROUP_SYMBOLS = 50;
const LONGEST_CODE = 20;
const OUTPUT_BYTES = 256 * 1024;

export function createBunzip2(): Transform {
  return new Bunzip2();
}

class Bunzip2 extends SteppingTransform {
  readonly #pending: Buffer[] = [];
  #pendingBytes = 0;
  #bytes: Buffer = Buffer.alloc(0);
  readonly #decoder = new Decoder((bytes) => this.give(bytes));

  protected override accept(chunk: Buffer): void {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
  }

  /** When more is here than a block can take, one is. */
  protected override step(isLast: boolean): boolean {
    if (this.#bytes.length + this.#pendingBytes <= (isLast ? 0 : LARGEST_BLOCK_BYTES)) return false;
    if (this.#pendingBytes > 0) this.#bytes = Buffer.concat([this.#bytes, ...this.#pending.splice(0)]);
    this.#pendingBytes = 0;
    this.#bytes = this.#bytes.subarray(this.#decoder.step(this.#bytes));
    return true;
  }

  protected override finish(): void {
    this.#decoder.end();
  }
}

class Decoder {
  readonly #output: (bytes: Buffer) => void;
  /** 0: between streams. */
  #blockBytes = 0;
  #combined = 0;
  #hadStream = false;
  /** Where the next block begins within the first byte. */
  #bitOffset = 0;

  constructor(output: (bytes: Buffer) => void) {
    this.#output = output;
  }

  /** A header, a block or a trailer; gives how many whole bytes it took. */
  step(bytes: Buffer): number {
    if (this.#blockBytes === 0) return this.#begin(bytes);
    const bits = new BitReader(bytes, this.#bitOffset);
    const magic = [bits.read(24), bits.read(24)];
    const crc = bits.read32();
    if (magic[0] === BLOCK_MAGIC[0] && magic[1] === BLOCK_MAGIC[1]) {
      const found = this.#block(bits);
      if (found !== crc) throw damaged('the checksum of a block is wrong');
      this.#combined = (((this.#combined << 1) | (this.#combined >>> 31)) ^ crc) >>> 0;
      this.#bitOffset = bits.position & 7;
      return bits.position >>> 3;
    }
    if (magic[0] !== END_MAGIC[0] || magic[1] !== END_MAGIC[1]) throw damaged('a block does not begin as blocks do');
    if (crc !== this.#combined) throw damaged('the checksum of the stream is wrong');
    this.#blockBytes = 0;
    this.#bitOffset = 0;
    return (bits.position + 7) >>> 3;
  }

  end(): void {
    if (this.#blockBytes !== 0 || !this.#hadStream) throw damaged('it ends before its end');
  }

  #begin(bytes: Buffer): number {
    const level = (bytes[3] ?? 0) - 0x30;
    if (bytes.length < 4 || bytes.toString('latin1', 0, 3) !== 'BZh' || level < 1 || level > 9) {
      throw damaged(this.#hadStream ? 'something else follows it' : 'it does not begin as such streams do');
    }
    this.#blockBytes = level * 100_000;
    this.#combined = 0;
    this.#hadStream = true;
    return 4;
  }

  /** Gives its checksum. */
  #block(bits: BitReader): number {
    if (bits.read(1) !== 0) throw damaged('it has a randomised block, which no program of this century writes');
    const origin = bits.read(24);
    const { transformed, counts } = readSymbols(bits, this.#blockBytes);
    if (origin >= transformed.length) throw damaged('a block has its origin outside');
    return this.#write(inverse(transformed, counts), origin, transformed.length);
  }

  /** Runs of four equal bytes are followed by how many more there are. */
  #write(links: Uint32Array, origin: number, length: number): number {
    let crc = 0xffffffff;
    let output = Buffer.allocUnsafe(OUTPUT_BYTES);
    let at = 0;
    let [run, last] = [0, -1];
    let link = links[origin] ?? 0;
    const put = (byte: number) => {
      crc = ((crc << 8) ^ (crcTable[(crc >>> 24) ^ byte] ?? 0)) >>> 0;
      output[at++] = byte;
      if (at < OUTPUT_BYTES) return;
      this.#output(output);
      output = Buffer.allocUnsafe(OUTPUT_BYTES);
      at = 0;
    };
    for (let left = length; left > 0; left--) {
      link = links[link >>> 8] ?? 0;
      const byte = link & 0xff;
      if (run === 4) {
        for (let more = byte; more > 0; more--) put(last);
        run = 0;
        last = -1;
        continue;
      }
      run = byte === last ? run + 1 : 1;
      last = byte;
      put(byte);
    }
    if (at > 0) this.#output(output.subarray(0, at));
    return ~crc >>> 0;
  }
}

interface Symbols {
  readonly transformed: Uint8Array;
  readonly counts: Uint32Array;
}

function readSymbols(bits: BitReader, blockBytes: number): Symbols {
  const used = readUsed(bits);
  const tableCount = bits.read(3);
  const selectorCount = bits.read(15);
  if (tableCount < 2 || tableCount > 6 || selectorCount === 0) throw damaged('the tables of a block are wrong');
  const selectors = readSelectors(bits, selectorCount, tableCount);
  const symbolCount = used.length + 2;
  const tables = Array.from({ length: tableCount }, () => new CodeTable(readLengths(bits, symbolCount)));
  return decodeSymbols(bits, { used, selectors, tables, endSymbol: symbolCount - 1, blockBytes });
}

function readUsed(bits: BitReader): Uint8Array {
  const ranges = bits.read(16);
  const used: number[] = [];
  for (let range = 0; range < 16; range++) {
    if ((ranges & (0x8000 >>> range)) === 0) continue;
    const members = bits.read(16);
    for (let member = 0; member < 16; member++) if ((members & (0x8000 >>> member)) !== 0) used.push(range * 16 + member);
  }
  if (used.length === 0) throw damaged('a block uses no bytes');
  return Uint8Array.from(used);
}

function readSelectors(bits: BitReader, count: number, tableCount: number): Uint8Array {
  const order = Array.from({ length: tableCount }, (_, index) => index);
  return Uint8Array.from({ length: count }, () => {
    let place = 0;
    while (bits.read(1) === 1) if (++place >= tableCount) throw damaged('a block selects a table that it does not have');
    const [selected = 0] = order.splice(place, 1);
    order.unshift(selected);
    return selected;
  });
}

function readLengths(bits: BitReader, symbolCount: number): Uint8Array {
  let length = bits.read(5);
  return Uint8Array.from({ length: symbolCount }, () => {
    for (;;) {
      if (length < 1 || length > LONGEST_CODE) throw damaged('a code of a block is too long');
      if (bits.read(1) === 0) return length;
      length += bits.read(1) === 0 ? 1 : -1;
    }
  });
}

interface SymbolCoding {
  readonly used: Uint8Array;
  readonly selectors: Uint8Array;
  readonly tables: readonly CodeTable[];
  readonly endSymbol: number;
  readonly blockBytes: number;
}

function decodeSymbols(bits: BitReader, { used, selectors, tables, endSymbol, blockBytes }: SymbolCoding): Symbols {
  const transformed = new Uint8Array(blockBytes);
  const counts = new Uint32Array(256);
  const front = Uint8Array.from(used);
  let [length, group, left] = [0, -1, 0];
  let [run, weight] = [0, 1];
  let table: CodeTable | undefined;
  for (;;) {
    if (left === 0) {
      group++;
      table = tables[selectors[group] ?? 255];
      left = GROUP_SYMBOLS;
    }
    left--;
    if (table === undefined) throw damaged('a block has more codes than it says');
    const symbol = table.next(bits);
    if (symbol < 2) {
      // Digits of a number in base two whose digits are 1 and 2.
      run += weight << symbol;
      weight <<= 1;
      if (run > blockBytes) throw damaged('a run is longer than a block');
      continue;
    }
    if (run > 0) {
      const byte = front[0] ?? 0;
      if (length + run > blockBytes) throw damaged('a block is longer than blocks are');
      transformed.fill(byte, length, length + run);
      counts[byte] = (counts[byte] ?? 0) + run;
      length += run;
      run = 0;
      weight = 1;
    }
    if (symbol === endSymbol) return { transformed: transformed.subarray(0, length), counts };
    if (length >= blockBytes) throw damaged('a block is longer than blocks are');
    const place = symbol - 1;
    const byte = front[place] ?? 0;
    front.copyWithin(1, 0, place);
    front[0] = byte;
    transformed[length++] = byte;
    counts[byte] = (counts[byte] ?? 0) + 1;
  }
}

/** For each place of the block: its byte, and in the bits above it where the next one is. */
function inverse(transformed: Uint8Array, counts: Uint32Array): Uint32Array {
  const links = new Uint32Array(transformed.length);
  const next = new Uint32Array(256);
  for (let byte = 1; byte < 256; byte++) next[byte] = (next[byte - 1] ?? 0) + (counts[byte - 1] ?? 0);
  for (let at = 0; at < transformed.length; at++) {
    const byte = transformed[at] ?? 0;
    const place = next[byte] ?? 0;
    next[byte] = place + 1;
    links[place] = at << 8;
  }
  for (let at = 0; at < transformed.length; at++) links[at] = (links[at] ?? 0) | (transformed[at] ?? 0);
  return links;
}

/** Canonical codes: of each length, which code is its last, and where its symbols begin. */
class CodeTable {
  readonly #limit = new Int32Array(LONGEST_CODE + 2).fill(-1);
  readonly #offset = new Int32Array(LONGEST_CODE + 2);
  readonly #symbols: Uint16Array;
  readonly #shortest: number;
  readonly #longest: number;

  constructor(lengths: Uint8Array) {
    const sorted = [...lengths.keys()].sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b);
    this.#symbols = Uint16Array.from(sorted);
    this.#shortest = lengths[sorted[0] ?? 0] ?? 1;
    this.#longest = lengths[sorted.at(-1) ?? 0] ?? 1;
    let [code, index] = [0, 0];
    for (let length = this.#shortest; length <= this.#longest; length++) {
      this.#offset[length] = index - code;
      while (index < sorted.length && lengths[sorted[index] ?? 0] === length) {
        code++;
        index++;
      }
      this.#limit[length] = code - 1;
      code <<= 1;
    }
  }

  next(bits: BitReader): number {
    let length = this.#shortest;
    let code = bits.read(length);
    while (code > (this.#limit[length] ?? -1)) {
      if (++length > this.#longest) throw damaged('a block has a code that means nothing');
      code = (code << 1) | bits.read(1);
    }
    const symbol = this.#symbols[code + (this.#offset[length] ?? 0)];
    if (symbol === undefined) throw damaged('a block has a code that means nothing');
    return symbol;
  }
}

class BitReader {
  readonly #bytes: Buffer;
  #at = 0;
  #window = 0;
  #count = 0;

  constructor(bytes: Buffer, skippedBits: number) {
    this.#bytes = bytes;
    if (skippedBits > 0) this.read(skippedBits);
  }

  /** In bits. */
  get position(): number {
    return this.#at * 8 - this.#count;
  }

  /** Up to 24. */
  read(count: number): number {
    while (this.#count < count) {
      if (this.#at >= this.#bytes.length) throw damaged('it ends before its end');
      this.#window = ((this.#window & 0xffffff) << 8) | (this.#bytes[this.#at++] ?? 0);
      this.#count += 8;
    }
    this.#count -= count;
    return (this.#window >>> this.#count) & ((1 << count) - 1);
  }

  read32(): number {
    return ((this.read(16) << 16) | this.read(16)) >>> 0;
  }
}

/** The polynomial of CRC-32, from the highest bit. */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit++) value = (value & 0x80000000) === 0 ? value << 1 : (value << 1) ^ 0x04c11db7;
  return value >>> 0;
});

function damaged(why: string): Error {
  return invalid(`the bzip2 stream is damaged: ${why}`);
}
