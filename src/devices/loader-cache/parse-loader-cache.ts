/** Reads a loader cache that anybody may have written: every place is checked, and what it can make us hold is bounded. Texts are bytes (latin1). */
import { invalid } from '../../base/errors.ts';
import {
  entrySize,
  extensionMagic,
  hwcapsBit,
  hwcapsTag,
  type LoaderCacheEntry,
  newHeaderSize,
  newMagic,
  oldMagic,
} from './loader-cache.ts';

/** Of a file; that of a big distribution with everything installed has some hundred kilobytes. */
export const largestLoaderCache = 2 * 1024 * 1024;
const mostEntries = 16_384;
const longestText = 4096;
/** Entries may share and overlap texts, so that a small file can mean much. */
const mostText = 4 * 1024 * 1024;

/** `invalid` when it is none, with what is wrong. */
export function parseLoaderCache(bytes: Uint8Array): LoaderCacheEntry[] {
  if (bytes.length > largestLoaderCache) throw invalid(`it has ${bytes.length} bytes, more than ${largestLoaderCache}, the limit`);
  const part = newPart(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  const [count, endianness] = [part.readUInt32LE(20), part.readUInt8(28) & 3];
  if (endianness === 3) throw invalid('it was written for a big-endian machine');
  if (count > mostEntries) throw invalid(`it says that it has ${count} entries, more than ${mostEntries}, the limit`);
  if (newHeaderSize + count * entrySize > part.length) throw invalid(`it says that it has ${count} entries, but ends before`);
  const texts = new Texts(part);
  const hwcaps = hwcapsNames(part, texts);
  return Array.from({ length: count }, (_, index) => entryAt(part, newHeaderSize + index * entrySize, texts, hwcaps));
}

/** Behind the old part where there is one. */
function newPart(file: Buffer): Buffer {
  let start = 0;
  if (file.toString('latin1', 0, oldMagic.length) === oldMagic && file.length >= 16) {
    const end = 16 + file.readUInt32LE(12) * 12;
    // On i386 the new part begins at a multiple of four, elsewhere at one of eight.
    start = [(end + 7) & ~7, (end + 3) & ~3].find((place) => end < file.length && startsNew(file, place)) ?? -1;
    if (start < 0) throw invalid('it has the format of libc5 only');
  }
  if (!startsNew(file, start)) throw invalid('it does not begin as a loader cache does');
  if (file.length - start < newHeaderSize) throw invalid('it ends in its header');
  return file.subarray(start);
}

const startsNew = (file: Buffer, at: number): boolean => file.toString('latin1', at, at + newMagic.length) === newMagic;

function entryAt(part: Buffer, at: number, texts: Texts, hwcaps: readonly string[]): LoaderCacheEntry {
  const hwcap = part.readBigUInt64LE(at + 16);
  const entry = {
    soname: texts.at(part.readUInt32LE(at + 4)),
    path: texts.at(part.readUInt32LE(at + 8)),
    flags: part.readInt32LE(at),
    osVersion: part.readUInt32LE(at + 12),
  };
  if ((hwcap & hwcapsBit) === 0n) return { ...entry, hwcaps: null, legacyHwcap: hwcap };
  const name = hwcaps[Number(hwcap & 0xffffffffn)];
  if (name === undefined) throw invalid(`the entry of ${JSON.stringify(entry.soname)} names a processor level that is not listed`);
  return { ...entry, hwcaps: name, legacyHwcap: 0n };
}

/** Of the extensions; without them no names. glibc before 2.33 leaves their place 0 or holds what it likes there. */
function hwcapsNames(part: Buffer, texts: Texts): readonly string[] {
  const start = part.readUInt32LE(32);
  if (start === 0 || start % 4 !== 0 || start + 8 > part.length || part.readUInt32LE(start) !== extensionMagic) return [];
  const count = part.readUInt32LE(start + 4);
  if (count > 64 || start + 8 + count * 16 > part.length) throw invalid('its list of extensions ends before its end');
  for (let at = start + 8; at < start + 8 + count * 16; at += 16) {
    if (part.readUInt32LE(at) === hwcapsTag) return namesOf(part, part.readUInt32LE(at + 8), part.readUInt32LE(at + 12), texts);
  }
  return [];
}

function namesOf(part: Buffer, place: number, size: number, texts: Texts): readonly string[] {
  if (size % 4 !== 0 || size > 4096 || place + size > part.length) throw invalid('its list of processor levels is beyond its end');
  return Array.from({ length: size / 4 }, (_, index) => texts.at(part.readUInt32LE(place + index * 4)));
}

class Texts {
  readonly #part: Buffer;
  readonly #known = new Map<number, string>();
  #total = 0;

  constructor(part: Buffer) {
    this.#part = part;
  }

  at(place: number): string {
    const known = this.#known.get(place);
    if (known !== undefined) return known;
    if (place >= this.#part.length) throw invalid('a text of it is beyond its end');
    const window = this.#part.subarray(place, place + longestText + 1);
    const length = window.indexOf(0);
    if (length < 0) throw invalid(`a text of it has no end, or more than ${longestText} bytes`);
    this.#total += length;
    if (this.#total > mostText) throw invalid(`its texts have more than ${mostText} bytes, the limit`);
    const text = window.toString('latin1', 0, length);
    this.#known.set(place, text);
    return text;
  }
}
