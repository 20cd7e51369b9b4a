/**
 * File names are bytes on Linux and strings here. UTF-8 names decode as they are; in others each byte that is not valid UTF-8 becomes a lone
 * surrogate U+DC80…U+DCFF (as Python's `surrogateescape`), so that no two different names share a string and every name finds its bytes again.
 */
import { isUtf8 } from 'node:buffer';

const ESCAPE_BASE = 0xdc00;

export function decodeName(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return isUtf8(buffer) ? buffer.toString('utf8') : decodeEscaped(buffer);
}

export function encodeName(name: string): Buffer {
  return name.isWellFormed() ? Buffer.from(name, 'utf8') : encodeEscaped(name);
}

/** With the terminating NUL that system calls want. The caller has made sure that the name holds none itself. */
export function encodeCString(name: string): Buffer {
  return name.isWellFormed() ? Buffer.from(`${name}\0`, 'utf8') : Buffer.concat([encodeEscaped(name), Buffer.of(0)]);
}

/** For messages and logs: quoted, control characters and lone surrogates escaped, cut at 256 characters. */
export function printableName(name: string): string {
  return JSON.stringify(name.length > 256 ? `${name.slice(0, 256)}…` : name);
}

function decodeEscaped(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    text += length === 0 ? String.fromCharCode(ESCAPE_BASE + (bytes[at] ?? 0)) : bytes.toString('utf8', at, at + length);
    at += Math.max(length, 1);
  }
  return text;
}

/** Length of the valid UTF-8 sequence at `at`, or 0. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    if (isUtf8(bytes.subarray(at, at + length))) return length;
  }
  return 0;
}

function encodeEscaped(name: string): Buffer {
  const pieces: Buffer[] = [];
  for (const character of name) {
    const code = character.charCodeAt(0);
    const escaped = character.length === 1 && code >= ESCAPE_BASE + 0x80 && code <= ESCAPE_BASE + 0xff;
    pieces.push(escaped ? Buffer.of(code - ESCAPE_BASE) : Buffer.from(character, 'utf8'));
  }
  return Buffer.concat(pieces);
}
