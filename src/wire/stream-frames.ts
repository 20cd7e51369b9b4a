/**
 * Docker's multiplexed stream, used by attach, exec and logs when there is no terminal:
 *
 *   byte 0        1 2 3    4 5 6 7
 *   +--------+----------+-----------------+----------------+
 *   | stream |  0 0 0   | length, be32    | length bytes … |
 *   +--------+----------+-----------------+----------------+
 *   stream: 1 stdout, 2 stderr, 3 error text of the daemon (0, stdin, is never sent)
 *
 * A frame may be split over reads, and a read may hold several frames. What a client sends is never framed.
 */
import { EngineError } from '../base/errors.ts';

export type StreamNumber = 1 | 2 | 3;
export const stdoutStream = 1;
export const stderrStream = 2;
export const systemErrorStream = 3;
export const frameHeaderBytes = 8;

/** Clients allocate a frame's length: no honest daemon sends more than this. */
const maxFrameBytes = 64 * 1024 * 1024;

export function encodeFrame(stream: StreamNumber, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  frame.writeUInt32BE((stream << 24) >>> 0, 0);
  frame.writeUInt32BE(payload.length, 4);
  frame.set(payload, frameHeaderBytes);
  return frame;
}

/** Content types of attach, exec and logs: before 1.42 there was one for both kinds. */
export function streamContentType(apiMinor: number, tty: boolean): string {
  return tty || apiMinor < 42 ? 'application/vnd.docker.raw-stream' : 'application/vnd.docker.multiplexed-stream';
}

/** Takes a stream apart: feed it what arrives, it calls `onPayload` with pieces of frames as they come, without collecting whole frames. */
export class FrameDecoder {
  readonly #onPayload: (stream: StreamNumber, payload: Buffer) => void;
  readonly #header = Buffer.alloc(frameHeaderBytes);
  #headerFill = 0;
  #stream: StreamNumber = stdoutStream;
  #left = 0;

  constructor(onPayload: (stream: StreamNumber, payload: Buffer) => void) {
    this.#onPayload = onPayload;
  }

  /** True between two frames: the only place where a stream may end. */
  get atBoundary(): boolean {
    return this.#left === 0 && this.#headerFill === 0;
  }

  push(chunk: Buffer): void {
    let offset = 0;
    while (offset < chunk.length) {
      offset += this.#left === 0 ? this.#readHeader(chunk, offset) : this.#readPayload(chunk, offset);
    }
  }

  #readHeader(chunk: Buffer, offset: number): number {
    const taken = Math.min(frameHeaderBytes - this.#headerFill, chunk.length - offset);
    chunk.copy(this.#header, this.#headerFill, offset, offset + taken);
    this.#headerFill += taken;
    if (this.#headerFill === frameHeaderBytes) this.#startFrame();
    return taken;
  }

  #startFrame(): void {
    const stream = this.#header[0] ?? 0;
    const length = this.#header.readUInt32BE(4);
    if (stream < 1 || stream > 3 || length > maxFrameBytes) {
      throw new EngineError(
        'system',
        `the stream is not in Docker's multiplexed format: a frame starts with ${this.#header.toString('hex')}`,
      );
    }
    this.#stream = stream as StreamNumber;
    this.#left = length;
    this.#headerFill = 0;
  }

  #readPayload(chunk: Buffer, offset: number): number {
    const taken = Math.min(this.#left, chunk.length - offset);
    this.#left -= taken;
    this.#onPayload(this.#stream, chunk.subarray(offset, offset + taken));
    return taken;
  }
}
