/**
 * The frames of a build session (`POST /gantry/build`, after its 101), both ways:
 *
 *     byte 0    1 2 3 4         5 6 7 8
 *   +--------+---------------+----------------+----------------+
 *   |  type  | stream, be32  | length, be32   | length bytes … |
 *   +--------+---------------+----------------+----------------+
 *   0 message   JSON; of stream 0                          what the daemon tells: events, and how it ended
 *   1 open      JSON: a question; a new stream             by the daemon only
 *   2 data      bytes of a stream
 *   3 end       nothing: this side sends no more of it
 *   4 fail      JSON {code, message}: the stream is over, both ways
 *   5 credit    be32: so many more bytes may be sent       by whoever receives
 *
 * A stream begins with `INITIAL_CREDIT` bytes each way: one that nobody reads stops its own sender, and holds up no other.
 */
import { EngineError } from '../base/errors.ts';

export const frameTypes = { message: 0, open: 1, data: 2, end: 3, fail: 4, credit: 5 } as const;
export type FrameType = keyof typeof frameTypes;

export const FRAME_HEADER_BYTES = 9;
export const INITIAL_CREDIT = 4 * 1024 * 1024;
export const MAXIMUM_DATA_BYTES = 256 * 1024;
/** Of anything but data. */
const MAXIMUM_JSON_BYTES = 32 * 1024 * 1024;

const namesOfTypes = Object.keys(frameTypes) as readonly FrameType[];

export function frameHeader(type: FrameType, stream: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  header[0] = frameTypes[type];
  header.writeUInt32BE(stream, 1);
  header.writeUInt32BE(length, 5);
  return header;
}

export interface FrameHandler {
  /** A part of a data frame, as it comes; others are whole. */
  frame(type: FrameType, stream: number, payload: Buffer): void;
}

/** Takes apart what arrives. Throws where the other side does not keep to the protocol. */
export class BuildFrameDecoder {
  readonly #handler: FrameHandler;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerFill = 0;
  #type: FrameType = 'message';
  #stream = 0;
  #left = 0;
  #parts: Buffer[] = [];

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#headerFill < FRAME_HEADER_BYTES) {
        const copied = chunk.copy(this.#header, this.#headerFill, at, at + FRAME_HEADER_BYTES - this.#headerFill);
        this.#headerFill += copied;
        at += copied;
        if (this.#headerFill < FRAME_HEADER_BYTES) return;
        this.#begin();
        if (this.#left === 0) this.#finish();
        continue;
      }
      const part = chunk.subarray(at, at + this.#left);
      at += part.length;
      this.#left -= part.length;
      if (this.#type === 'data') this.#handler.frame('data', this.#stream, part);
      else this.#parts.push(part);
      if (this.#left === 0) this.#finish();
    }
  }

  #begin(): void {
    const type = namesOfTypes[this.#header[0] ?? 255];
    if (type === undefined) throw broken(`an unknown frame (${this.#header[0]})`);
    this.#type = type;
    this.#stream = this.#header.readUInt32BE(1);
    this.#left = this.#header.readUInt32BE(5);
    const limit = type === 'data' ? MAXIMUM_DATA_BYTES : MAXIMUM_JSON_BYTES;
    if (this.#left > limit) throw broken(`a frame of ${this.#left} bytes`);
  }

  #finish(): void {
    const parts = this.#parts;
    this.#parts = [];
    this.#headerFill = 0;
    if (this.#type !== 'data') this.#handler.frame(this.#type, this.#stream, Buffer.concat(parts));
  }
}

export function broken(what: string): EngineError {
  return new EngineError('invalid', `the build session is broken: the other side sent ${what}`);
}
