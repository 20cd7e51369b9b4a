/** Writes a loader cache that every glibc since 2.2 reads: without the old part, with the extensions only where they are needed. */
import {
  entrySize,
  extensionMagic,
  generatorTag,
  hwcapsBit,
  hwcapsTag,
  type LoaderCacheEntry,
  newHeaderSize,
  newMagic,
} from './loader-cache.ts';
import { compareEntries } from './loader-cache-order.ts';

const generator = 'gantry';
const littleEndian = 2;

export function encodeLoaderCache(entries: readonly LoaderCacheEntry[]): Buffer {
  const sorted = [...entries].sort(compareEntries);
  const hwcaps = [...new Set(sorted.flatMap((entry) => entry.hwcaps ?? []))].sort();
  const strings = new StringTable(newHeaderSize + sorted.length * entrySize);
  const table = encodeEntries(sorted, hwcaps, strings);
  const hwcapsPlaces = hwcaps.map((name) => strings.place(name));
  const text = strings.bytes();
  const extensionsAt = (newHeaderSize + table.length + text.length + 3) & ~3;
  const padding = Buffer.alloc(extensionsAt - newHeaderSize - table.length - text.length);
  return Buffer.concat([
    encodeHeader(sorted.length, text.length, extensionsAt),
    table,
    text,
    padding,
    encodeExtensions(extensionsAt, hwcapsPlaces),
  ]);
}

function encodeHeader(count: number, stringsLength: number, extensionsAt: number): Buffer {
  const header = Buffer.alloc(newHeaderSize);
  header.write(newMagic, 'latin1');
  header.writeUInt32LE(count, 20);
  header.writeUInt32LE(stringsLength, 24);
  header.writeUInt8(littleEndian, 28);
  header.writeUInt32LE(extensionsAt, 32);
  return header;
}

function encodeEntries(entries: readonly LoaderCacheEntry[], hwcaps: readonly string[], strings: StringTable): Buffer {
  const table = Buffer.alloc(entries.length * entrySize);
  for (const [index, entry] of entries.entries()) {
    const at = index * entrySize;
    table.writeInt32LE(entry.flags | 0, at);
    table.writeUInt32LE(strings.place(entry.soname), at + 4);
    table.writeUInt32LE(strings.place(entry.path), at + 8);
    table.writeUInt32LE(entry.osVersion, at + 12);
    table.writeBigUInt64LE(entry.hwcaps === null ? entry.legacyHwcap : hwcapsBit | BigInt(hwcaps.indexOf(entry.hwcaps)), at + 16);
  }
  return table;
}

/** Who wrote it, and the names of glibc-hwcaps. */
function encodeExtensions(at: number, hwcapsPlaces: readonly number[]): Buffer {
  const sections = hwcapsPlaces.length === 0 ? 1 : 2;
  const headSize = 8 + sections * 16;
  const head = Buffer.alloc(headSize);
  const names = Buffer.alloc(hwcapsPlaces.length * 4);
  hwcapsPlaces.forEach((place, index) => {
    names.writeUInt32LE(place, index * 4);
  });
  [extensionMagic, sections].forEach((word, index) => {
    head.writeUInt32LE(word, index * 4);
  });
  const section = (index: number, words: readonly number[]): void => {
    words.forEach((word, each) => {
      head.writeUInt32LE(word, 8 + index * 16 + each * 4);
    });
  };
  section(0, [generatorTag, 0, at + headSize + names.length, generator.length]);
  if (names.length > 0) section(1, [hwcapsTag, 0, at + headSize, names.length]);
  return Buffer.concat([head, names, Buffer.from(generator)]);
}

/** Every text once. Texts are bytes (latin1), as in the file they came from. */
class StringTable {
  readonly #places = new Map<string, number>();
  #next: number;

  constructor(start: number) {
    this.#next = start;
  }

  place(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    const place = this.#next;
    this.#places.set(text, place);
    this.#next += text.length + 1;
    return place;
  }

  bytes(): Buffer {
    return Buffer.from([...this.#places.keys()].map((text) => `${text}\0`).join(''), 'latin1');
  }
}
