/**
 * One 512-byte header block, read strictly. Offsets and lengths:
 *
 *      0 name 100      100 mode 8    108 uid 8      116 gid 8     124 size 12    136 mtime 12   148 checksum 8   156 type 1
 *    157 link 100      257 magic 6   263 version 2  265 user 32   297 group 32   329 major 8    337 minor 8
 *    345 prefix 155 (POSIX; magic "ustar\0")
 *    386 4 × (offset 12, length 12)   482 extended 1   483 real size 12      (GNU sparse; magic "ustar " version " \0")
 */
import { decodeName } from '../base/byte-name.ts';
import { invalid } from '../base/errors.ts';
import { BLOCK_BYTES, type Extent } from './tar-entry.ts';

export interface RawHeader {
  readonly format: 'v7' | 'posix' | 'gnu';
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  /** One character; NUL is read as "0". */
  readonly typeFlag: string;
  readonly linkName: string;
  readonly userName: string;
  readonly groupName: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

const EXTENT_BYTES = 24;

export function isZeroBlock(block: Uint8Array): boolean {
  for (let at = 0; at < BLOCK_BYTES; at++) if (block[at] !== 0) return false;
  return true;
}

export function parseHeader(block: Uint8Array): RawHeader {
  verifyChecksum(block);
  const format = formatOf(block);
  const name = text(block, 0, 100);
  const prefix = format === 'posix' ? text(block, 345, 155) : '';
  const typeByte = block[156] ?? 0;
  const isDevice = typeByte === 0x33 || typeByte === 0x34;
  return {
    format,
    name: prefix === '' ? name : `${prefix}/${name}`,
    mode: unsigned(block, 100, 8, 'mode') & 0o7777,
    uid: unsigned(block, 108, 8, 'uid'),
    gid: unsigned(block, 116, 8, 'gid'),
    size: unsigned(block, 124, 12, 'size'),
    mtimeSeconds: signed(block, 136, 12, 'mtime'),
    typeFlag: typeByte === 0 ? '0' : String.fromCharCode(typeByte),
    linkName: text(block, 157, 100),
    userName: format === 'v7' ? '' : text(block, 265, 32),
    groupName: format === 'v7' ? '' : text(block, 297, 32),
    // Other entries carry anything there (spaces, garbage of old tools); only devices are read.
    deviceMajor: isDevice ? unsigned(block, 329, 8, 'device major') : 0,
    deviceMinor: isDevice ? unsigned(block, 337, 8, 'device minor') : 0,
  };
}

export interface SparseTable {
  readonly extents: readonly Extent[];
  /** Another block of 21 extents follows. */
  readonly continues: boolean;
}

/** The table of an old GNU sparse header (type S): four extents and the real size. */
export function parseSparseHeader(block: Uint8Array): SparseTable & { readonly realSize: number } {
  return { ...parseExtents(block, 386, 4, 482), realSize: unsigned(block, 483, 12, 'real size') };
}

export function parseSparseExtension(block: Uint8Array): SparseTable {
  return parseExtents(block, 0, 21, 504);
}

function parseExtents(block: Uint8Array, start: number, count: number, continuesAt: number): SparseTable {
  const extents: Extent[] = [];
  for (let index = 0; index < count; index++) {
    const at = start + index * EXTENT_BYTES;
    if (block[at] === 0) break;
    extents.push({ offset: unsigned(block, at, 12, 'sparse offset'), length: unsigned(block, at + 12, 12, 'sparse length') });
  }
  return { extents, continues: block[continuesAt] === 1 };
}

function formatOf(block: Uint8Array): RawHeader['format'] {
  const magic = latin1(block, 257, 8);
  if (magic.startsWith('ustar\0')) return 'posix';
  return magic === 'ustar  \0' ? 'gnu' : 'v7';
}

/** Some old tools summed signed bytes; both sums are accepted, as every reader does. */
function verifyChecksum(block: Uint8Array): void {
  const stored = unsigned(block, 148, 8, 'checksum');
  const sums = headerChecksums(block);
  if (stored !== sums.unsigned && stored !== sums.signed) {
    throw invalid('the tar archive is damaged: the checksum of an entry header is wrong');
  }
}

/** Sums over the block with the checksum field taken as spaces. */
export function headerChecksums(block: Uint8Array): { readonly unsigned: number; readonly signed: number } {
  let sum = 8 * 0x20;
  let negative = 0;
  for (let at = 0; at < BLOCK_BYTES; at++) {
    if (at >= 148 && at < 156) continue;
    const byte = block[at] ?? 0;
    sum += byte;
    if (byte >= 0x80) negative += 256;
  }
  return { unsigned: sum, signed: sum - negative };
}

function text(block: Uint8Array, start: number, length: number): string {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return decodeName(end === -1 ? field : field.subarray(0, end));
}

function latin1(block: Uint8Array, start: number, length: number): string {
  return Buffer.from(block.buffer, block.byteOffset + start, length).toString('latin1');
}

function unsigned(block: Uint8Array, start: number, length: number, field: string): number {
  const value = signed(block, start, length, field);
  if (value < 0) throw invalid(`the tar archive is damaged: an entry has a negative ${field}`);
  return value;
}

/** Octal text, or two's complement binary ("base-256") when the first bit is set. */
function signed(block: Uint8Array, start: number, length: number, field: string): number {
  const first = block[start] ?? 0;
  return first >= 0x80 ? binary(block, start, length, field) : octal(block, start, length, field);
}

function binary(block: Uint8Array, start: number, length: number, field: string): number {
  // The first bit only marks the encoding; the next one is the sign.
  let value = BigInt((block[start] ?? 0) & 0x7f);
  for (let at = start + 1; at < start + length; at++) value = (value << 8n) | BigInt(block[at] ?? 0);
  const bits = BigInt(length * 8 - 1);
  if (value >> (bits - 1n) === 1n) value -= 1n << bits;
  const result = Number(value);
  if (!Number.isSafeInteger(result)) throw invalid(`the tar archive is damaged: an entry has an absurd ${field} (${value})`);
  return result;
}

function octal(block: Uint8Array, start: number, length: number, field: string): number {
  let value = 0;
  let at = start;
  const end = start + length;
  while (at < end && (block[at] === 0x20 || block[at] === 0)) at++;
  for (; at < end; at++) {
    const byte = block[at] ?? 0;
    if (byte === 0x20 || byte === 0) break;
    if (byte < 0x30 || byte > 0x37) throw invalid(`the tar archive is damaged: the ${field} of an entry is not a number`);
    value = value * 8 + (byte - 0x30);
  }
  for (; at < end; at++) {
    if (block[at] !== 0x20 && block[at] !== 0) throw invalid(`the tar archive is damaged: the ${field} of an entry is not a number`);
  }
  return value;
}
