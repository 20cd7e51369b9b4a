/** PAX extended headers: a list of `LENGTH KEY=VALUE\n`, the length counting itself. */
import { decodeName } from '../base/byte-name.ts';
import { invalid } from '../base/errors.ts';
import type { Timestamp } from './tar-entry.ts';

export type PaxRecords = ReadonlyMap<string, Uint8Array>;

const SPACE = 0x20;
const NEWLINE = 0x0a;
const EQUALS = 0x3d;

/** `repeated` sees every record: GNU sparse 0.0 gives the same keys many times, where else the last one counts. */
export function parsePax(bytes: Uint8Array, repeated?: (key: string, value: Uint8Array) => void): PaxRecords {
  const records = new Map<string, Uint8Array>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(SPACE, at);
    const length = space === -1 ? 0 : decimal(bytes.subarray(at, space), 'record length');
    const end = at + length;
    if (length < 5 || end > bytes.length || bytes[end - 1] !== NEWLINE) throw damaged('a record has a wrong length');
    const equals = bytes.indexOf(EQUALS, space);
    if (equals === -1 || equals >= end || equals === space + 1) throw damaged('a record has no key');
    const key = decodeName(bytes.subarray(space + 1, equals));
    // A copy: `slice` of a Buffer would be a view of bytes that the reader uses again.
    const value = new Uint8Array(bytes.subarray(equals + 1, end - 1));
    if (key.includes('\0')) throw damaged('a key holds a NUL byte');
    records.set(key, value);
    repeated?.(key, value);
    at = end;
  }
  return records;
}

export function encodePaxRecord(key: string, value: Uint8Array): Buffer {
  const keyBytes = Buffer.from(key, 'utf8');
  const rest = keyBytes.length + value.length + 3; // space, equals, newline
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} `), keyBytes, Buffer.of(EQUALS), value, Buffer.of(NEWLINE)]);
}

/** A name, link target, user or group name. */
export function paxText(value: Uint8Array, key: string): string {
  if (value.includes(0)) throw damaged(`${key} holds a NUL byte`);
  return decodeName(value);
}

export function paxNumber(value: Uint8Array, key: string): number {
  return decimal(value, key);
}

/** `[-]SECONDS[.FRACTION]`; digits beyond nanoseconds are cut off. */
export function paxTime(value: Uint8Array, key: string): Timestamp {
  const text = Buffer.from(value).toString('latin1');
  const match = /^(-?)(\d{1,15})(?:\.(\d{0,32}))?$/.exec(text);
  if (match === null) throw damaged(`${key} is not a time`);
  const seconds = Number(match[2]);
  const nanoseconds = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] !== '-') return { seconds, nanoseconds };
  return nanoseconds === 0 ? { seconds: 0 - seconds, nanoseconds } : { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

export function formatPaxTime(time: Timestamp): string {
  if (time.nanoseconds === 0) return String(time.seconds);
  const fraction = (nanoseconds: number) => String(nanoseconds).padStart(9, '0').replace(/0+$/, '');
  if (time.seconds >= 0) return `${time.seconds}.${fraction(time.nanoseconds)}`;
  return `-${-(time.seconds + 1)}.${fraction(1_000_000_000 - time.nanoseconds)}`;
}

function decimal(bytes: Uint8Array, what: string): number {
  if (bytes.length === 0 || bytes.length > 20) throw damaged(`${what} is not a number`);
  let value = 0;
  for (const byte of bytes) {
    if (byte < 0x30 || byte > 0x39) throw damaged(`${what} is not a number`);
    value = value * 10 + (byte - 0x30);
  }
  if (!Number.isSafeInteger(value)) throw damaged(`${what} is absurdly large`);
  return value;
}

function damaged(reason: string): Error {
  return invalid(`the tar archive is damaged: in a PAX header, ${reason}`);
}
