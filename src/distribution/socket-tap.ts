/**
 * Large bodies straight off the socket.
 *
 * What comes through Node's HTTP parser is read in pieces of 64 KiB and copied once more: some 2.5 s of processor time for each GiB. A tapped connection reads into
 * larger buffers; they go through the parser while it has heads to read, and past it once somebody takes the rest of a body whose length is known:
 *
 *     socket ─► tap ─► parser ─► answer          heads, small bodies
 *                └──────────────► reader         the rest of a large body: 0.7 s for each GiB
 *
 * The parser never learns of what went past it, so the connection ends with that body.
 */
import type { IncomingMessage } from 'node:http';
import type { OnReadOpts, Socket } from 'node:net';

const slabBytes = 512 * 1024;
const leastReadBytes = 64 * 1024;
/** Read ahead of whoever takes it. */
const aheadBytes = 1024 * 1024;
/** A connection costs more than what is won with less. */
export const worthTakingBytes = 4 * 1024 * 1024;

interface Tap {
  readonly onread: OnReadOpts;
  /** Set once the rest of a body is taken: false wants no more for now. */
  take: ((piece: Uint8Array) => boolean) | null;
}

const taps = new WeakMap<Socket, Tap>();

/** `connect` makes a connection with the options of `node:net` that it is given. */
export function tapped<T extends Socket>(connect: (onread: OnReadOpts) => T): T {
  // Only the parser reads it, and that copies what it keeps.
  const scratch = Buffer.allocUnsafeSlow(leastReadBytes);
  // What is taken is the reader's: the next read goes behind it. TLS brings 16 KiB at a time.
  let slab = scratch;
  let used = scratch.length;
  let socket: T | undefined;
  const tap: Tap = {
    take: null,
    onread: {
      buffer: () => {
        if (!tap.take) return scratch;
        if (slab.length - used < leastReadBytes) {
          slab = Buffer.allocUnsafeSlow(slabBytes);
          used = 0;
        }
        return slab.subarray(used);
      },
      callback: (size, buffer) => {
        const piece = buffer.subarray(0, size);
        if (tap.take) {
          used += size;
          return tap.take(piece);
        }
        socket?.emit('data', piece);
        return true;
      },
    },
  };
  socket = connect(tap.onread);
  taps.set(socket, tap);
  return socket;
}

/** The rest of a body of `sizeBytes`, from what the parser has passed on already; null where it can't be taken. */
export function takeBody(body: IncomingMessage, sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> | null {
  const { socket } = body;
  const tap = taps.get(socket);
  return tap && sizeBytes >= worthTakingBytes && !socket.destroyed && tap.take === null ? taken(body, tap, sizeBytes) : null;
}

async function* taken(body: IncomingMessage, tap: Tap, sizeBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  const { socket } = body;
  const pieces: Uint8Array[] = [];
  let wake: (() => void) | null = null;
  let isClosed = false;
  let failure: unknown = null;
  const stir = (): void => {
    wake?.();
    wake = null;
  };
  const end = (): void => {
    isClosed = true;
    stir();
  };
  const fail = (thrown: unknown): void => {
    failure ??= thrown;
  };
  body.on('error', fail);
  socket.once('close', end);
  let left = sizeBytes;
  let ahead = 0;
  tap.take = (piece) => {
    pieces.push(piece);
    ahead += piece.length;
    stir();
    return ahead < aheadBytes;
  };
  try {
    for (let piece = body.read() as Uint8Array | null; piece !== null; piece = body.read() as Uint8Array | null) {
      left -= piece.length;
      yield piece;
    }
    while (left > 0) {
      const piece = pieces.shift();
      if (piece) {
        ahead -= piece.length;
        // What comes after the end is no part of it.
        const part = piece.length > left ? piece.subarray(0, left) : piece;
        left -= part.length;
        yield part;
        continue;
      }
      if (isClosed) throw failure ?? Object.assign(new Error('the connection was cut'), { code: 'ECONNRESET' });
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      socket.resume();
      await promise;
    }
  } finally {
    // Its error, that the body did not end for the parser, is nobody's.
    socket.destroy();
  }
}
