/** Sends the body of an answer, the way a fault bends it, and counts what goes out. */
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fault } from './faults.ts';

type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Resolves when all has gone out that will; a client that leaves ends it too. */
export async function sendBody(
  response: ServerResponse,
  pieces: Pieces,
  fault: Fault | null,
  count: (bytes: number) => void,
): Promise<void> {
  for await (const piece of bent(pieces, fault)) {
    if (!(await written(response, piece))) return;
    count(piece.length);
  }
  if (fault?.kind === 'stall') return;
  // A length that was announced and does not come: only the end of the connection tells it.
  if (fault?.kind === 'truncate' && fault.how === 'reset') resetConnection(response);
  else if (fault?.kind === 'truncate' || fault?.kind === 'length') response.socket?.end();
  else response.end();
}

async function* bent(pieces: Pieces, fault: Fault | null): AsyncGenerator<Uint8Array, void, undefined> {
  switch (fault?.kind) {
    case 'truncate':
    case 'stall':
      return yield* firstOf(pieces, fault.atByte);
    case 'flip':
      return yield* flipped(pieces, fault.atByte);
    case 'drip':
      return yield* dripped(pieces, fault.pieceBytes, fault.everyMs);
    default:
      yield* pieces;
  }
}

export async function* firstOf(pieces: Pieces, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  let left = bytes;
  for await (const piece of pieces) {
    if (left === 0) return;
    const part = piece.subarray(0, left);
    left -= part.length;
    yield part;
  }
}

async function* flipped(pieces: Pieces, atByte: number): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for await (const piece of pieces) {
    const copy = Buffer.from(piece);
    const index = atByte - at;
    if (index >= 0 && index < copy.length) copy[index] = (copy[index] ?? 0) ^ 0x10;
    at += copy.length;
    yield copy;
  }
}

async function* dripped(pieces: Pieces, pieceBytes: number, everyMs: number): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; at += pieceBytes) {
      yield piece.subarray(at, at + pieceBytes);
      await delay(everyMs);
    }
  }
}

export function* filler(bytes: number): Generator<Uint8Array, void, undefined> {
  const piece = Buffer.alloc(64 * 1024, ' ');
  for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
}

/** False: the client is gone. */
function written(response: ServerResponse, piece: Uint8Array): Promise<boolean> {
  if (response.destroyed || response.socket === null || response.socket.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const isGone = (): void => resolve(false);
    response.once('close', isGone);
    // When it has been handed to the kernel: what is counted has gone out.
    response.write(piece, (error) => {
      response.off('close', isGone);
      resolve(!error);
    });
  });
}

/** TLS has no reset of its own. */
export function resetConnection({ socket }: ServerResponse): void {
  if (socket !== null && 'encrypted' in socket) socket.destroy();
  else socket?.resetAndDestroy();
}
