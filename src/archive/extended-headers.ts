/**
 * What stands in front of an entry's own header and overrides it: the PAX header of the entry, GNU long names, and the archive's global PAX records.
 * Gathered until the entry comes, then `clear`ed; global records stay.
 */
import { printableName } from '../base/byte-name.ts';
import { invalid } from '../base/errors.ts';
import { type PaxRecords, parsePax, paxNumber, paxText, paxTime } from './pax.ts';
import { type PaxSparse, paxSparse, RepeatedExtents } from './sparse-map.ts';
import type { Timestamp } from './tar-entry.ts';
import type { RawHeader } from './tar-header.ts';

const attributePrefix = 'SCHILY.xattr.';
const encodedAttributePrefix = 'LIBARCHIVE.xattr.';
/** A global record of these would rename every later entry: no tool writes it, and readers disagree about it. */
const neverGlobal = /^(path|linkpath|size|GNU\.sparse\..*)$/;
const noRecords: PaxRecords = new Map();

export class ExtendedHeaders {
  readonly #maximumBytes: number;
  #global: PaxRecords = noRecords;
  #pax: PaxRecords | null = null;
  #repeated = new RepeatedExtents();
  #longName: string | null = null;
  #longLink: string | null = null;

  constructor(maximumBytes: number) {
    this.#maximumBytes = maximumBytes;
  }

  /** An entry must follow. */
  get isPending(): boolean {
    return this.#pax !== null || this.#longName !== null || this.#longLink !== null;
  }

  /** `typeFlag`: `x` (PAX), `g` (global PAX), `L` (long name) or `K` (long link target). */
  add(typeFlag: string, bytes: Uint8Array): void {
    if (typeFlag === 'L') this.#longName = longText(bytes);
    else if (typeFlag === 'K') this.#longLink = longText(bytes);
    else if (typeFlag === 'g') this.#mergeGlobal(parsePax(bytes));
    else this.#setPax(bytes);
  }

  clear(): void {
    this.#pax = null;
    this.#repeated = new RepeatedExtents();
    this.#longName = null;
    this.#longLink = null;
  }

  path(raw: RawHeader): string {
    return agree(this.text('GNU.sparse.name') ?? this.text('path'), this.#longName, 'names') ?? raw.name;
  }

  linkTarget(raw: RawHeader): string {
    return agree(this.text('linkpath'), this.#longLink, 'link targets') ?? raw.linkName;
  }

  modifiedAt(raw: RawHeader): Timestamp {
    const value = this.#record('mtime');
    return value === undefined ? { seconds: raw.mtimeSeconds, nanoseconds: 0 } : paxTime(value, 'mtime');
  }

  text(key: string): string | undefined {
    const value = this.#record(key);
    return value === undefined ? undefined : paxText(value, key);
  }

  number(key: string): number | undefined {
    const value = this.#record(key);
    return value === undefined ? undefined : paxNumber(value, key);
  }

  sparse(): PaxSparse | null {
    return paxSparse(this.#pax ?? noRecords, this.#repeated);
  }

  extendedAttributes(): ReadonlyMap<string, Uint8Array> {
    const attributes = new Map<string, Uint8Array>();
    for (const records of [this.#global, this.#pax ?? noRecords]) {
      for (const [key, value] of records) {
        if (!key.startsWith(encodedAttributePrefix)) continue;
        const name = decodedName(key.slice(encodedAttributePrefix.length));
        attributes.set(name, Buffer.from(Buffer.from(value).toString('latin1'), 'base64'));
      }
      // The plain form is exact, so it wins over the encoded one.
      for (const [key, value] of records) if (key.startsWith(attributePrefix)) attributes.set(key.slice(attributePrefix.length), value);
    }
    return attributes;
  }

  #setPax(bytes: Uint8Array): void {
    if (this.#pax !== null) throw invalid('the tar archive is damaged: two PAX headers stand in front of one entry');
    this.#pax = parsePax(bytes, (key, value) => this.#repeated.add(key, value));
  }

  #mergeGlobal(records: PaxRecords): void {
    const merged = new Map(this.#global);
    for (const [key, value] of records) {
      if (neverGlobal.test(key)) throw invalid(`the tar archive sets ${printableName(key)} for all entries, which is refused`);
      if (value.length === 0) merged.delete(key);
      else merged.set(key, value);
    }
    let size = 0;
    for (const [key, value] of merged) size += key.length + value.length;
    if (size > this.#maximumBytes) throw invalid(`the global PAX headers of the tar archive exceed ${this.#maximumBytes} bytes`);
    this.#global = merged;
  }

  /** A record of the entry, else of the archive. An empty one takes the archive's away. */
  #record(key: string): Uint8Array | undefined {
    const value = this.#pax?.get(key) ?? this.#global.get(key);
    return value?.length === 0 ? undefined : value;
  }
}

function longText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  if (end === -1) return paxText(bytes, 'a long name');
  if (bytes.subarray(end).some((byte) => byte !== 0)) throw invalid('the tar archive is damaged: a long name holds a NUL byte');
  return paxText(bytes.subarray(0, end), 'a long name');
}

/** An archive that names an entry twice, differently, is made to fool one of two readers. */
function agree(pax: string | undefined, gnu: string | null, what: string): string | undefined {
  if (pax !== undefined && gnu !== null && pax !== gnu) {
    throw invalid(`the tar archive is contradictory: its PAX and GNU headers give one entry different ${what}`);
  }
  return pax ?? gnu ?? undefined;
}

function decodedName(text: string): string {
  let name = text;
  try {
    name = decodeURIComponent(text);
  } catch {
    // Not encoded at all: libarchive wrote such names before it had an encoding for them.
  }
  // The kernel would see another, shorter name than the one that was checked.
  if (name.includes('\0')) throw invalid('the tar archive is damaged: the name of an extended attribute holds a NUL byte');
  return name;
}
