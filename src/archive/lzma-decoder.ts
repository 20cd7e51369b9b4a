/**
 * LZMA, as the chunks of LZMA2 hold it: literals and matches in what came before, each decision a bit whose probability is learned. (The specification of the format is in the public domain.)
 *
 * What was decoded stays in one linear window, moved down when it is full, so that matches are plain copies.
 */
import { invalid } from '../base/errors.ts';

const STATES = 12;
const POSITIONS = 16;
const FIRST_LITERAL_STATE = 7;
const SHORTEST_MATCH = 2;
const ONE = 2048;
const TOP = 0x1000000;
/** Of a chunk of LZMA2, unpacked. */
const LARGEST_CHUNK_BYTES = 2 * 1024 * 1024;

/** Places of the probabilities in one array. */
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POSITIONS;
const IS_REP0 = IS_REP + STATES;
const IS_REP1 = IS_REP0 + STATES;
const IS_REP2 = IS_REP1 + STATES;
const IS_LONG = IS_REP2 + STATES;
const SLOTS = IS_LONG + STATES * POSITIONS;
const SPECIAL = SLOTS + 4 * 64;
const ALIGN = SPECIAL + 128;
const LENGTHS = ALIGN + 16;
/** Choice, second choice, 16 × 8 low, 16 × 8 middle, 256 high. */
const LENGTH_MODEL = 2 + 2 * POSITIONS * 8 + 256;
const REP_LENGTHS = LENGTHS + LENGTH_MODEL;
const LITERALS = REP_LENGTHS + LENGTH_MODEL;

export class LzmaDecoder {
  readonly #dictionaryBytes: number;
  readonly #window: Buffer;
  #end = 0;
  /** Bytes since the dictionary was emptied. */
  #position = 0;
  #probabilities = new Uint16Array(0);
  #literalContext = 0;
  #literalMask = 0;
  #positionMask = 0;
  #state = 0;
  #distances = [0, 0, 0, 0];
  #input: Buffer = Buffer.alloc(0);
  #at = 0;
  #inputEnd = 0;
  #range = 0;
  #code = 0;

  constructor(dictionaryBytes: number) {
    this.#dictionaryBytes = dictionaryBytes;
    // Only what is used of it becomes memory.
    this.#window = Buffer.alloc(dictionaryBytes + Math.max(dictionaryBytes, 2 * LARGEST_CHUNK_BYTES));
  }

  resetDictionary(): void {
    this.#end = 0;
    this.#position = 0;
  }

  /** The byte that says how many bits of what count. */
  setProperties(byte: number): void {
    const literalContext = byte % 9;
    const literalPosition = Math.floor(byte / 9) % 5;
    const position = Math.floor(byte / 45);
    if (position > 4 || literalContext + literalPosition > 4) throw damaged('its properties are out of range');
    this.#literalContext = literalContext;
    this.#literalMask = (1 << literalPosition) - 1;
    this.#positionMask = (1 << position) - 1;
    this.#probabilities = new Uint16Array(LITERALS + (0x300 << (literalContext + literalPosition)));
  }

  resetState(): void {
    if (this.#probabilities.length === 0) throw damaged('its properties are missing');
    this.#probabilities.fill(ONE / 2);
    this.#state = 0;
    this.#distances = [0, 0, 0, 0];
  }

  /** Bytes that were not worth packing. */
  copy(bytes: Buffer): void {
    this.#makeRoom(bytes.length);
    bytes.copy(this.#window, this.#end);
    this.#end += bytes.length;
    this.#position += bytes.length;
  }

  /** Gives a copy of what the chunk holds. */
  decode(input: Buffer, unpackedBytes: number): Buffer {
    if (this.#probabilities.length === 0) throw damaged('its properties are missing');
    this.#makeRoom(unpackedBytes);
    const start = this.#end;
    this.#input = input;
    this.#inputEnd = input.length;
    if (input.length < 5 || input[0] !== 0) throw damaged('a chunk does not begin as chunks do');
    this.#range = 0xffffffff;
    this.#code = input.readUInt32BE(1);
    this.#at = 5;
    const stop = start + unpackedBytes;
    while (this.#end < stop) this.#next(stop);
    this.#normalize();
    if (this.#code !== 0 || this.#at !== this.#inputEnd) throw damaged('a chunk does not end where it says');
    return Buffer.from(this.#window.subarray(start, stop));
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#window.length) return;
    const kept = Math.min(this.#end, this.#dictionaryBytes);
    this.#window.copyWithin(0, this.#end - kept, this.#end);
    this.#end = kept;
  }

  #next(stop: number): void {
    const positionState = this.#position & this.#positionMask;
    if (this.#bit(IS_MATCH + this.#state * POSITIONS + positionState) === 0) this.#literal();
    else if (this.#bit(IS_REP + this.#state) === 0) this.#match(positionState, stop);
    else this.#repeat(positionState, stop);
  }

  #literal(): void {
    const before = this.#position === 0 ? 0 : (this.#window[this.#end - 1] ?? 0);
    const context = ((this.#position & this.#literalMask) << this.#literalContext) + (before >> (8 - this.#literalContext));
    const base = LITERALS + 0x300 * context;
    let symbol = 1;
    if (this.#state >= FIRST_LITERAL_STATE) {
      let matched = this.#window[this.#end - (this.#distances[0] ?? 0) - 1] ?? 0;
      while (symbol < 0x100) {
        const expected = (matched >> 7) & 1;
        matched <<= 1;
        const bit = this.#bit(base + ((1 + expected) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== expected) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(base + symbol);
    this.#window[this.#end++] = symbol & 0xff;
    this.#position++;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #match(positionState: number, stop: number): void {
    const [first = 0, second = 0, third = 0] = this.#distances;
    const length = this.#length(LENGTHS, positionState);
    this.#state = this.#state < FIRST_LITERAL_STATE ? 7 : 10;
    this.#distances = [this.#distance(length), first, second, third];
    this.#copyMatch(length, stop);
  }

  #repeat(positionState: number, stop: number): void {
    const [first = 0, second = 0, third = 0, fourth = 0] = this.#distances;
    if (this.#bit(IS_REP0 + this.#state) === 0) {
      if (this.#bit(IS_LONG + this.#state * POSITIONS + positionState) === 0) {
        this.#state = this.#state < FIRST_LITERAL_STATE ? 9 : 11;
        this.#copyMatch(1, stop);
        return;
      }
    } else if (this.#bit(IS_REP1 + this.#state) === 0) this.#distances = [second, first, third, fourth];
    else if (this.#bit(IS_REP2 + this.#state) === 0) this.#distances = [third, first, second, fourth];
    else this.#distances = [fourth, first, second, third];
    const length = this.#length(REP_LENGTHS, positionState);
    this.#state = this.#state < FIRST_LITERAL_STATE ? 8 : 11;
    this.#copyMatch(length, stop);
  }

  #copyMatch(length: number, stop: number): void {
    const distance = (this.#distances[0] ?? 0) + 1;
    if (distance > this.#position || distance > this.#end || distance > this.#dictionaryBytes)
      throw damaged('a match lies before its beginning');
    if (this.#end + length > stop) throw damaged('a match is longer than its chunk');
    const window = this.#window;
    let from = this.#end - distance;
    for (let left = length; left > 0; left--) window[this.#end++] = window[from++] ?? 0;
    this.#position += length;
  }

  #length(base: number, positionState: number): number {
    if (this.#bit(base) === 0) return SHORTEST_MATCH + this.#tree(base + 2 + positionState * 8, 3);
    if (this.#bit(base + 1) === 0) return SHORTEST_MATCH + 8 + this.#tree(base + 2 + (POSITIONS + positionState) * 8, 3);
    return SHORTEST_MATCH + 16 + this.#tree(base + 2 + 2 * POSITIONS * 8, 8);
  }

  #distance(length: number): number {
    const slot = this.#tree(SLOTS + Math.min(length - SHORTEST_MATCH, 3) * 64, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const base = (2 | (slot & 1)) * 2 ** bits;
    if (slot < 14) return base + this.#reverseTree(SPECIAL + base - slot, bits);
    return base + this.#direct(bits - 4) * 16 + this.#reverseTree(ALIGN, 4);
  }

  #tree(base: number, bits: number): number {
    let symbol = 1;
    for (let left = bits; left > 0; left--) symbol = (symbol << 1) | this.#bit(base + symbol);
    return symbol - (1 << bits);
  }

  #reverseTree(base: number, bits: number): number {
    let [symbol, value] = [1, 0];
    for (let place = 0; place < bits; place++) {
      const bit = this.#bit(base + symbol);
      symbol = (symbol << 1) | bit;
      value |= bit << place;
    }
    return value;
  }

  /** Bits that are as likely one as the other. */
  #direct(bits: number): number {
    let value = 0;
    for (let left = bits; left > 0; left--) {
      this.#normalize();
      this.#range >>>= 1;
      const bit = this.#code >= this.#range ? 1 : 0;
      if (bit === 1) this.#code -= this.#range;
      value = value * 2 + bit;
    }
    return value;
  }

  #bit(index: number): 0 | 1 {
    this.#normalize();
    const probability = this.#probabilities[index] ?? 0;
    const bound = (this.#range >>> 11) * probability;
    if (this.#code < bound) {
      this.#range = bound;
      this.#probabilities[index] = probability + ((ONE - probability) >> 5);
      return 0;
    }
    this.#range -= bound;
    this.#code -= bound;
    this.#probabilities[index] = probability - (probability >> 5);
    return 1;
  }

  #normalize(): void {
    if (this.#range >= TOP) return;
    if (this.#at >= this.#inputEnd) throw damaged('a chunk ends before its end');
    this.#range = (this.#range << 8) >>> 0;
    this.#code = ((this.#code << 8) | (this.#input[this.#at++] ?? 0)) >>> 0;
  }
}

export function damaged(why: string): Error {
  return invalid(`the xz stream is damaged: ${why}`);
}
