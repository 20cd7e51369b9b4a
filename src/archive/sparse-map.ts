/** The maps of sparse files, in all four ways GNU tar writes them: old GNU headers (see `tar-header.ts`), PAX 0.0, 0.1 and 1.0. */
import { invalid } from '../base/errors.ts';
import { type PaxRecords, paxNumber } from './pax.ts';
import type { Extent } from './tar-entry.ts';

/** 0.0 repeats its keys, so they are gathered while the PAX header is read. */
export class RepeatedExtents {
  readonly #numbers: number[] = [];
  #key = 'GNU.sparse.offset';

  add(key: string, value: Uint8Array): void {
    if (key !== 'GNU.sparse.offset' && key !== 'GNU.sparse.numbytes') return;
    if (key !== this.#key) throw damaged('offsets and lengths do not alternate');
    this.#numbers.push(paxNumber(value, key));
    this.#key = key === 'GNU.sparse.offset' ? 'GNU.sparse.numbytes' : 'GNU.sparse.offset';
  }

  get numbers(): readonly number[] {
    return this.#numbers;
  }
}

export type PaxSparse =
  | { readonly kind: 'map'; readonly extents: readonly Extent[]; readonly realSize: number }
  /** 1.0: the map stands in front of the content. */
  | { readonly kind: 'map-in-content'; readonly realSize: number };

export function paxSparse(records: PaxRecords, repeated: RepeatedExtents): PaxSparse | null {
  const number = (key: string) => paxNumber(records.get(key) ?? missing(key), key);
  const major = records.get('GNU.sparse.major');
  if (major !== undefined) {
    const version = `${number('GNU.sparse.major')}.${number('GNU.sparse.minor')}`;
    if (version === '1.0') return { kind: 'map-in-content', realSize: number('GNU.sparse.realsize') };
    if (version !== '0.1' && version !== '0.0')
      throw invalid(`the tar archive holds a sparse file of format ${version}, which is not supported`);
  }
  const map = records.get('GNU.sparse.map');
  if (map === undefined && repeated.numbers.length === 0) {
    if (major !== undefined || records.has('GNU.sparse.size')) throw damaged('there is none');
    return null;
  }
  const numbers = map === undefined ? repeated.numbers : mapNumbers(map);
  return {
    kind: 'map',
    extents: pairs(numbers),
    realSize: number(records.has('GNU.sparse.size') ? 'GNU.sparse.size' : 'GNU.sparse.realsize'),
  };
}

/** Reads the map of a 1.0 file from its first blocks: a count, then offsets and lengths, one decimal number a line. */
export class ContentMap {
  readonly #limit: number;
  #count = -1;
  readonly #numbers: number[] = [];
  #digits = 0;
  #value = 0;

  constructor(maximumExtents: number) {
    this.#limit = maximumExtents;
  }

  /** True when the map is complete; the rest of its last block is padding. */
  push(block: Uint8Array): boolean {
    for (const byte of block) {
      if (byte === 0x0a) this.#endNumber();
      else this.#digit(byte);
      if (this.#count >= 0 && this.#numbers.length === 2 * this.#count) return true;
    }
    return false;
  }

  extents(): readonly Extent[] {
    return pairs(this.#numbers);
  }

  #digit(byte: number): void {
    if (byte < 0x30 || byte > 0x39 || ++this.#digits > 16) throw damaged('it holds something that is not a number');
    this.#value = this.#value * 10 + (byte - 0x30);
  }

  #endNumber(): void {
    if (this.#digits === 0 || !Number.isSafeInteger(this.#value)) throw damaged('it holds something that is not a number');
    if (this.#count >= 0) this.#numbers.push(this.#value);
    else if (this.#value > this.#limit)
      throw invalid(`the tar archive holds a sparse file of ${this.#value} pieces; the limit is ${this.#limit}`);
    else this.#count = this.#value;
    this.#digits = 0;
    this.#value = 0;
  }
}

/** In order, apart, inside the file, and together as long as what is stored. Empty ones (GNU tar ends maps with one) are left out. */
export function verifyExtents(extents: readonly Extent[], storedBytes: number, realSize: number): readonly Extent[] {
  let end = 0;
  let sum = 0;
  for (const extent of extents) {
    if (extent.offset < end) throw damaged('its pieces overlap or are out of order');
    end = extent.offset + extent.length;
    sum += extent.length;
    if (!Number.isSafeInteger(end) || end > realSize) throw damaged('a piece lies beyond the end of the file');
  }
  if (sum !== storedBytes) throw damaged(`its pieces hold ${sum} bytes but ${storedBytes} are stored`);
  return extents.filter((extent) => extent.length > 0);
}

function mapNumbers(map: Uint8Array): readonly number[] {
  const text = Buffer.from(map).toString('latin1');
  return text === '' ? [] : text.split(',').map((number) => paxNumber(Buffer.from(number, 'latin1'), 'GNU.sparse.map'));
}

function pairs(numbers: readonly number[]): readonly Extent[] {
  if (numbers.length % 2 !== 0) throw damaged('an offset has no length');
  const extents: Extent[] = [];
  for (let index = 0; index < numbers.length; index += 2) extents.push({ offset: numbers[index] ?? 0, length: numbers[index + 1] ?? 0 });
  return extents;
}

function missing(key: string): never {
  throw damaged(`${key} is missing`);
}

function damaged(reason: string): Error {
  return invalid(`the tar archive is damaged: the map of a sparse file is wrong: ${reason}`);
}
