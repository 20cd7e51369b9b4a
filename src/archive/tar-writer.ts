/**
 * Writes tar archives that are a pure function of their entries: ustar headers, and a PAX header in front only where ustar can't hold a value.
 * Order and times are the caller's. Sparse files are written out in full.
 */
import { encodeName, printableName } from '../base/byte-name.ts';
import { EngineError } from '../base/errors.ts';
import { encodePaxRecord, formatPaxTime } from './pax.ts';
import { BLOCK_BYTES, paddingBytes, type TarEntry, type TarEntryType } from './tar-entry.ts';
import { headerChecksums } from './tar-header.ts';

/** What the writer needs of an entry; the rest defaults to 0 or empty (`mode`: 0644, directories 0755). */
export type NewTarEntry = Pick<TarEntry, 'type' | 'path'> & Partial<Omit<TarEntry, 'extents'>>;

export interface WritableEntry {
  readonly entry: NewTarEntry;
  /** Exactly `sizeBytes` bytes, for files only. Bytes given at once need no `sizeBytes`. */
  readonly content?: Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Ends an archive. */
export const endOfArchive: Uint8Array = new Uint8Array(2 * BLOCK_BYTES);

const typeFlags: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  'hard-link': '1',
  'symbolic-link': '2',
  'character-device': '3',
  'block-device': '4',
  directory: '5',
  fifo: '6',
};

export async function* writeTar(
  entries: AsyncIterable<WritableEntry> | Iterable<WritableEntry>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { entry, content } of entries) {
    const whole = content instanceof Uint8Array;
    const sizeBytes = whole ? content.length : (entry.sizeBytes ?? 0);
    yield encodeTarHeader({ ...entry, sizeBytes });
    if (whole) yield content;
    else yield* counted(content ?? [], sizeBytes, entry.path);
    if (paddingBytes(sizeBytes) > 0) yield endOfArchive.subarray(0, paddingBytes(sizeBytes));
  }
  yield endOfArchive;
}

/** An archive with the wrong number of bytes is unreadable from there on, so a source that changed its size ends it. */
async function* counted(
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  sizeBytes: number,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let seen = 0;
  for await (const chunk of content) {
    seen += chunk.length;
    if (seen > sizeBytes) break;
    yield chunk;
  }
  if (seen !== sizeBytes) {
    throw new EngineError(
      'system',
      `cannot write ${printableName(path)} to the archive: it was announced with ${sizeBytes} bytes and has ${seen > sizeBytes ? 'more' : seen}`,
    );
  }
}

/** The header block of an entry, behind its PAX header where one is needed. */
export function encodeTarHeader(entry: NewTarEntry): Buffer {
  const values = withDefaults(entry);
  const records: Buffer[] = [];
  const block = Buffer.alloc(BLOCK_BYTES);
  putPath(block, values, records);
  putText(block, 157, 100, values.linkTarget, 'linkpath', records);
  putNumber(block, 100, 8, values.mode, null, records);
  putNumber(block, 108, 8, values.uid, 'uid', records);
  putNumber(block, 116, 8, values.gid, 'gid', records);
  putNumber(block, 124, 12, values.sizeBytes, 'size', records);
  putTime(block, values, records);
  putText(block, 265, 32, values.userName, 'uname', records);
  putText(block, 297, 32, values.groupName, 'gname', records);
  for (const [name, value] of [...values.extendedAttributes].sort(byName)) records.push(encodePaxRecord(`SCHILY.xattr.${name}`, value));
  const main = finishBlock(block, values, typeFlags[values.type]);
  return records.length === 0 ? main : Buffer.concat([paxHeader(values, Buffer.concat(records)), main]);
}

type Complete = Omit<TarEntry, 'extents'>;

function withDefaults(entry: NewTarEntry): Complete {
  return {
    linkTarget: '',
    sizeBytes: 0,
    mode: entry.type === 'directory' ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    userName: '',
    groupName: '',
    modifiedAt: { seconds: 0, nanoseconds: 0 },
    deviceMajor: 0,
    deviceMinor: 0,
    extendedAttributes: new Map(),
    ...entry,
    path: entry.type === 'directory' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path,
  };
}

function byName(a: readonly [string, Uint8Array], b: readonly [string, Uint8Array]): number {
  return a[0] < b[0] ? -1 : 1;
}

/** 100 bytes, or up to 155 + "/" + 100 split at a slash, or a PAX record (and then the first 100 bytes, for readers that know no PAX). */
function putPath(block: Buffer, entry: Complete, records: Buffer[]): void {
  const bytes = encodeName(entry.path);
  if (bytes.length <= 100) {
    bytes.copy(block, 0);
    return;
  }
  const slash = bytes.subarray(0, 156).lastIndexOf(0x2f, Math.min(155, bytes.length - 2));
  if (slash > 0 && bytes.length - slash - 1 <= 100) {
    bytes.copy(block, 345, 0, slash);
    bytes.copy(block, 0, slash + 1);
    return;
  }
  records.push(encodePaxRecord('path', bytes));
  bytes.copy(block, 0, 0, 100);
}

function putText(block: Buffer, at: number, length: number, text: string, key: string, records: Buffer[]): void {
  const bytes = encodeName(text);
  if (bytes.length > length) records.push(encodePaxRecord(key, bytes));
  bytes.copy(block, at, 0, Math.min(bytes.length, length));
}

/** Octal with a closing NUL; a value that does not fit goes to a PAX record and leaves 0. */
function putNumber(block: Buffer, at: number, length: number, value: number, key: string | null, records: Buffer[]): void {
  const fits = value >= 0 && value < 8 ** (length - 1);
  if (!fits && key === null) throw new EngineError('system', `cannot write a tar header: ${value} does not fit its field`);
  if (!fits && key !== null) records.push(encodePaxRecord(key, Buffer.from(String(value))));
  block.write((fits ? value : 0).toString(8).padStart(length - 1, '0'), at, 'latin1');
}

function putTime(block: Buffer, entry: Complete, records: Buffer[]): void {
  const { seconds, nanoseconds } = entry.modifiedAt;
  const fits = nanoseconds === 0 && seconds >= 0 && seconds < 8 ** 11;
  if (!fits) records.push(encodePaxRecord('mtime', Buffer.from(formatPaxTime(entry.modifiedAt))));
  putNumber(block, 136, 12, Math.min(Math.max(seconds, 0), 8 ** 11 - 1), null, records);
}

function finishBlock(block: Buffer, entry: Complete, typeFlag: string): Buffer {
  block.write(typeFlag, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  putNumber(block, 329, 8, entry.deviceMajor, null, []);
  putNumber(block, 337, 8, entry.deviceMinor, null, []);
  block.write(`${headerChecksums(block).unsigned.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** The entry that carries the records. Its own name and times never matter to a reader, so they are constant as far as possible. */
function paxHeader(entry: Complete, records: Buffer): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const base = encodeName(entry.path.replace(/\/$/, '').split('/').at(-1) ?? '').subarray(0, 80);
  Buffer.concat([Buffer.from('PaxHeaders.0/'), base]).copy(block, 0);
  putNumber(block, 100, 8, 0o644, null, []);
  putNumber(block, 108, 8, 0, null, []);
  putNumber(block, 116, 8, 0, null, []);
  putNumber(block, 124, 12, records.length, null, []);
  putNumber(block, 136, 12, 0, null, []);
  const header = finishBlock(block, { ...entry, deviceMajor: 0, deviceMinor: 0 }, 'x');
  return Buffer.concat([header, records, Buffer.alloc(paddingBytes(records.length))]);
}
