/**
 * Messages in the body of a call: `compressed (1 byte, 0)`, `length (4 bytes, big-endian)`, bytes. Nothing compresses here and nothing says that it could, so a compressed message is an
 * error of the other side.
 */
import { GrpcError, grpcCodes } from './status.ts';

/** As moby's; files and logs come in far smaller ones. */
export const messageLimitBytes = 16 * 1024 * 1024;
const headBytes = 5;

export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(headBytes + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, headBytes);
  return framed;
}

/** The messages of a body. Reads no further than the consumer asks for. */
export async function* messagesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, undefined> {
  let chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    size += chunk.length;
    for (;;) {
      const length = size < headBytes ? null : lengthAt(chunks);
      if (length === null || size < headBytes + length) break;
      const all = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size);
      yield all.subarray(headBytes, headBytes + length);
      const rest = all.subarray(headBytes + length);
      chunks = rest.length === 0 ? [] : [rest];
      size = rest.length;
    }
  }
  if (size > 0) throw new GrpcError(grpcCodes.internal, 'the body of the call ends within a message');
}

function lengthAt(chunks: Buffer[]): number {
  if ((chunks[0] as Buffer).length < headBytes) chunks.splice(0, chunks.length, Buffer.concat(chunks));
  const first = chunks[0] as Buffer;
  if (first[0] !== 0) throw new GrpcError(grpcCodes.unimplemented, 'compressed messages are not supported');
  const length = first.readUInt32BE(1);
  if (length > messageLimitBytes)
    throw new GrpcError(grpcCodes.resourceExhausted, `received message larger than max (${length} vs. ${messageLimitBytes})`);
  return length;
}
