/**
 * A list of files with what is known of each, as bytes: what a client has in a build context, and what is kept of it (`build/context/context-index.ts`). Numbers are big-endian.
 *
 *     u32 bytes that follow │ u8 type │ u8 flags │ u16 mode │ f64 size │ f64 seconds │ u32 nanoseconds
 *     flags & 1: f64 seconds, u32 nanoseconds of the last change of state (ctime)       flags & 2: 32 bytes of sha256 of the content
 *     flags & 4: u32 major, u32 minor                                                   flags & 8: u16 attributes, each u16 name │ u32 value │ both
 *     u16 path │ u16 link target │ both
 *
 * What is decoded may come from anywhere: lengths are checked, paths are not.
 */
import { decodeName, encodeName } from './byte-name.ts';
import { invalid } from './errors.ts';

export type ListedType = 'file' | 'directory' | 'symbolic-link' | 'hard-link' | 'fifo' | 'character-device' | 'block-device';

export interface ListedTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface ListedFile {
  /** Relative, `/` between names. */
  readonly path: string;
  readonly type: ListedType;
  /** Permission bits, setuid, setgid and sticky too. */
  readonly mode: number;
  readonly sizeBytes: number;
  readonly modifiedAt: ListedTime;
  /** When anything of it changed, where that is known: tells a file that was changed and given its old time. */
  readonly changedAt?: ListedTime | undefined;
  /** Of links. */
  readonly linkTarget: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly extendedAttributes: ReadonlyMap<string, Uint8Array>;
  /** sha256 of the bytes of a regular file, in hex. */
  readonly digest?: string | undefined;
}

const types: readonly ListedType[] = ['file', 'directory', 'symbolic-link', 'hard-link', 'fifo', 'character-device', 'block-device'];
const CHANGED = 1;
const DIGEST = 2;
const DEVICE = 4;
const ATTRIBUTES = 8;
const FIXED_BYTES = 28;
/** Of one record: paths, and attributes as large as the kernel takes them. */
const MAXIMUM_RECORD_BYTES = 1024 * 1024;

export function encodeFileList(entries: readonly ListedFile[]): Buffer {
  return Buffer.concat(entries.map(encodeEntry));
}

function encodeEntry(entry: ListedFile): Buffer {
  const path = encodeName(entry.path);
  const link = encodeName(entry.linkTarget);
  if (path.length > 0xffff || link.length > 0xffff) throw invalid(`a path is longer than 65535 bytes: ${entry.path.slice(0, 80)}…`);
  const isDevice = entry.deviceMajor !== 0 || entry.deviceMinor !== 0;
  const attributes = entry.extendedAttributes.size === 0 ? null : encodeAttributes(entry.extendedAttributes);
  const length =
    FIXED_BYTES +
    (entry.changedAt === undefined ? 0 : 12) +
    (entry.digest === undefined ? 0 : 32) +
    (isDevice ? 8 : 0) +
    (attributes?.length ?? 0) +
    4 +
    path.length +
    link.length;
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32BE(length - 4, 0);
  bytes[4] = types.indexOf(entry.type);
  bytes[5] =
    (entry.changedAt === undefined ? 0 : CHANGED) |
    (entry.digest === undefined ? 0 : DIGEST) |
    (isDevice ? DEVICE : 0) |
    (attributes === null ? 0 : ATTRIBUTES);
  bytes.writeUInt16BE(entry.mode & 0o7777, 6);
  bytes.writeDoubleBE(entry.sizeBytes, 8);
  let at = writeTime(bytes, entry.modifiedAt, 16);
  if (entry.changedAt !== undefined) at = writeTime(bytes, entry.changedAt, at);
  if (entry.digest !== undefined) at += bytes.write(entry.digest, at, 32, 'hex');
  if (isDevice) at = bytes.writeUInt32BE(entry.deviceMinor, bytes.writeUInt32BE(entry.deviceMajor, at));
  if (attributes !== null) at += attributes.copy(bytes, at);
  at = bytes.writeUInt16BE(link.length, bytes.writeUInt16BE(path.length, at));
  at += path.copy(bytes, at);
  link.copy(bytes, at);
  return bytes;
}

function writeTime(bytes: Buffer, time: ListedTime, at: number): number {
  return bytes.writeUInt32BE(time.nanoseconds, bytes.writeDoubleBE(time.seconds, at));
}

function encodeAttributes(attributes: ReadonlyMap<string, Uint8Array>): Buffer {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(attributes.size);
  const parts: Uint8Array[] = [count];
  for (const [name, value] of attributes) {
    const bytes = encodeName(name);
    const lengths = Buffer.alloc(6);
    lengths.writeUInt32BE(value.length, lengths.writeUInt16BE(bytes.length, 0));
    parts.push(lengths, bytes, value);
  }
  return Buffer.concat(parts);
}

/** Takes a list in pieces as they come. `what` is for messages: "the client's list of files". */
export class FileListDecoder {
  readonly #what: string;
  #rest: Buffer = Buffer.alloc(0);

  constructor(what: string) {
    this.#what = what;
  }

  push(chunk: Uint8Array): ListedFile[] {
    const incoming = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const bytes = this.#rest.length === 0 ? incoming : Buffer.concat([this.#rest, incoming]);
    const entries: ListedFile[] = [];
    let at = 0;
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32BE(at);
      if (length > MAXIMUM_RECORD_BYTES) throw this.#damaged(`an entry of ${length} bytes`);
      if (bytes.length - at - 4 < length) break;
      entries.push(this.#decode(bytes.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
    return entries;
  }

  end(): void {
    if (this.#rest.length > 0) throw this.#damaged('it ends within an entry');
  }

  #decode(bytes: Buffer): ListedFile {
    try {
      return decodeEntry(bytes);
    } catch (cause) {
      throw this.#damaged('an entry is shorter than it says', cause);
    }
  }

  #damaged(why: string, cause?: unknown): Error {
    return invalid(`${this.#what} is damaged: ${why}`, { cause });
  }
}

const noAttributes: ReadonlyMap<string, Uint8Array> = new Map();

/** Reading beyond the end throws; views of `bytes` are copied. */
function decodeEntry(bytes: Buffer): ListedFile {
  const type = types[bytes.readUInt8(0)];
  if (type === undefined) throw invalid('unknown type');
  const flags = bytes.readUInt8(1);
  let at = 24;
  const changedAt = (flags & CHANGED) === 0 ? undefined : readTime(bytes, at);
  if (changedAt !== undefined) at += 12;
  const digest = (flags & DIGEST) === 0 ? undefined : exactly(bytes, at, 32).toString('hex');
  if (digest !== undefined) at += 32;
  const isDevice = (flags & DEVICE) !== 0;
  const [deviceMajor, deviceMinor] = isDevice ? [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)] : [0, 0];
  if (isDevice) at += 8;
  let extendedAttributes = noAttributes;
  if ((flags & ATTRIBUTES) !== 0) {
    const read = readAttributes(bytes, at);
    extendedAttributes = read.attributes;
    at = read.at;
  }
  const pathLength = bytes.readUInt16BE(at);
  const linkLength = bytes.readUInt16BE(at + 2);
  at += 4;
  const path = decodeName(exactly(bytes, at, pathLength));
  const linkTarget = linkLength === 0 ? '' : decodeName(exactly(bytes, at + pathLength, linkLength));
  if (at + pathLength + linkLength !== bytes.length) throw invalid('longer than its parts');
  return {
    path,
    type,
    mode: bytes.readUInt16BE(2) & 0o7777,
    sizeBytes: wholeNumber(bytes.readDoubleBE(4), 0),
    modifiedAt: readTime(bytes, 12),
    ...(changedAt === undefined ? {} : { changedAt }),
    linkTarget,
    deviceMajor,
    deviceMinor,
    extendedAttributes,
    ...(digest === undefined ? {} : { digest }),
  };
}

function readTime(bytes: Buffer, at: number): ListedTime {
  const nanoseconds = bytes.readUInt32BE(at + 8);
  if (nanoseconds > 999_999_999) throw invalid('a time that is none');
  return { seconds: wholeNumber(bytes.readDoubleBE(at), -MAXIMUM_SECONDS, MAXIMUM_SECONDS), nanoseconds };
}

/** What every file system's times hold. */
const MAXIMUM_SECONDS = 2 ** 53 / 1000;

function wholeNumber(value: number, minimum: number, maximum = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || value < minimum || value > maximum) throw invalid('a number out of range');
  return value;
}

function readAttributes(bytes: Buffer, start: number) {
  const attributes = new Map<string, Uint8Array>();
  let at = start + 2;
  for (let left = bytes.readUInt16BE(start); left > 0; left--) {
    const nameLength = bytes.readUInt16BE(at);
    const valueLength = bytes.readUInt32BE(at + 2);
    at += 6;
    attributes.set(decodeName(exactly(bytes, at, nameLength)), Buffer.from(exactly(bytes, at + nameLength, valueLength)));
    at += nameLength + valueLength;
  }
  return { attributes, at };
}

function exactly(bytes: Buffer, at: number, length: number): Buffer {
  if (at + length > bytes.length) throw invalid('too short');
  return bytes.subarray(at, at + length);
}
