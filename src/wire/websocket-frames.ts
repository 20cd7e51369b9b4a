/**
 * The frames of a WebSocket (RFC 6455), as far as a byte stream over one needs them:
 *
 *   byte 0                  byte 1            then                                    then            then
 *   +---+-------+--------+  +---+--------+    +----------------------------------+    +----------+    +---------+
 *   |FIN| RSV 0 | opcode |  | M | length |    | 126: length be16, 127: be64      |    | mask, 4  |    | payload |
 *   +---+-------+--------+  +---+--------+    +----------------------------------+    +----------+    +---------+
 *   opcode: 0 goes on, 1 text, 2 binary, 8 close, 9 ping, 10 pong. M is always set by clients and never by servers.
 *
 * Payload is handed on as it arrives, whatever a message's length: nothing but control frames (at most 125 bytes) is collected.
 */
import { createHash } from 'node:crypto';
import { EngineError } from '../base/errors.ts';

export const textOpcode = 1;
export const binaryOpcode = 2;
export const closeOpcode = 8;
export const pingOpcode = 9;
export const pongOpcode = 10;
const continuationOpcode = 0;

export const protocolErrorCode = 1002;
export const normalCloseCode = 1000;

const maxControlBytes = 125;

/** What a server answers to the client's `Sec-WebSocket-Key`. */
export function websocketAccept(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** One whole, unmasked frame: a server's. */
export function encodeWebsocketFrame(opcode: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (head.length === 2) head[1] = payload.length;
  else if (head.length === 4) {
    head[1] = 126;
    head.writeUInt16BE(payload.length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([head, payload]);
}

export function encodeWebsocketClose(code: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return encodeWebsocketFrame(closeOpcode, payload);
}

export interface WebsocketHandlers {
  /** A piece of a message of either kind. */
  onData(payload: Buffer): void;
  /** A whole close, ping or pong frame. */
  onControl(opcode: number, payload: Buffer): void;
}

/** Takes a client's stream apart; throws `invalid` where it breaks the protocol. */
export class WebsocketDecoder {
  readonly #handlers: WebsocketHandlers;
  #head = Buffer.alloc(0);
  #opcode = -1;
  #left = 0n;
  #mask = Buffer.alloc(4);
  #maskAt = 0;
  #control: Buffer[] = [];
  #inMessage = false;

  constructor(handlers: WebsocketHandlers) {
    this.#handlers = handlers;
  }

  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0 || (this.#opcode >= 0 && this.#left === 0n)) {
      rest = this.#opcode < 0 ? this.#readHead(rest) : this.#readPayload(rest);
    }
  }

  #readHead(chunk: Buffer): Buffer {
    const bytes = Buffer.concat([this.#head, chunk]);
    if (bytes.length >= 2 && ((bytes[1] ?? 0) & 0x80) === 0) throw broken('a frame of a client is not masked');
    const wanted = headBytes(bytes);
    if (wanted === null || bytes.length < wanted) {
      this.#head = bytes;
      return bytes.subarray(bytes.length);
    }
    this.#head = Buffer.alloc(0);
    this.#startFrame(bytes.subarray(0, wanted));
    return bytes.subarray(wanted);
  }

  #startFrame(head: Buffer): void {
    const first = head[0] ?? 0;
    const short = (head[1] ?? 0) & 0x7f;
    if ((first & 0x70) !== 0) throw broken('reserved bits are set');
    this.#opcode = first & 0x0f;
    this.#left = short === 126 ? BigInt(head.readUInt16BE(2)) : short === 127 ? head.readBigUInt64BE(2) : BigInt(short);
    this.#mask = Buffer.from(head.subarray(head.length - 4));
    this.#maskAt = 0;
    this.#checkOrder((first & 0x80) !== 0);
  }

  #checkOrder(final: boolean): void {
    if (this.#opcode >= closeOpcode) {
      if (!final || this.#left > maxControlBytes) throw broken('a control frame is long or in parts');
      if (this.#opcode > pongOpcode) throw broken(`the opcode ${this.#opcode} has no meaning`);
      return;
    }
    if (this.#opcode > binaryOpcode) throw broken(`the opcode ${this.#opcode} has no meaning`);
    if ((this.#opcode === continuationOpcode) !== this.#inMessage) throw broken('the parts of a message are out of order');
    if (this.#left >> 63n !== 0n) throw broken('a length is negative');
    this.#inMessage = !final;
  }

  #readPayload(chunk: Buffer): Buffer {
    const taken = this.#left < BigInt(chunk.length) ? Number(this.#left) : chunk.length;
    const payload = this.#unmask(chunk.subarray(0, taken));
    this.#left -= BigInt(taken);
    if (this.#opcode >= closeOpcode) this.#control.push(payload);
    else if (payload.length > 0) this.#handlers.onData(payload);
    if (this.#left === 0n) this.#endFrame();
    return chunk.subarray(taken);
  }

  #endFrame(): void {
    const opcode = this.#opcode;
    this.#opcode = -1;
    if (opcode >= closeOpcode) this.#handlers.onControl(opcode, Buffer.concat(this.#control.splice(0)));
  }

  #unmask(masked: Buffer): Buffer {
    const plain = Buffer.allocUnsafe(masked.length);
    for (let at = 0; at < masked.length; at += 1) plain[at] = (masked[at] ?? 0) ^ (this.#mask[(this.#maskAt + at) & 3] ?? 0);
    this.#maskAt = (this.#maskAt + masked.length) & 3;
    return plain;
  }
}

/** How long the head is that begins here; null: it cannot be told yet. */
function headBytes(bytes: Buffer): number | null {
  if (bytes.length < 2) return null;
  const short = (bytes[1] ?? 0) & 0x7f;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + 4;
}

function broken(why: string): EngineError {
  return new EngineError('invalid', `the client breaks the WebSocket protocol: ${why}`);
}
