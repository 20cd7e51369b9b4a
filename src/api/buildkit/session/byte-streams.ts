/** Calls that carry plain bytes in `BytesMessage`s: uploads of contexts, SSH agents, archives to the client. */
import { Duplex, Readable, Writable } from 'node:stream';
import type { GrpcStream, OutgoingMetadata } from '../grpc/client.ts';
import { engineErrorOf, GrpcError } from '../grpc/status.ts';
import { BytesMessage } from '../messages/session.ts';
import type { MessageOf } from '../protobuf/message.ts';
import type { Session } from './session.ts';

type Bytes = MessageOf<typeof BytesMessage>;
type ByteCall = GrpcStream<Bytes, Bytes>;

/** Far below what a client takes in one message. */
const chunkBytes = 256 * 1024;

export function openBytes(session: Session, method: string, metadata: OutgoingMetadata, signal: AbortSignal): ByteCall {
  return session.client.open(method, BytesMessage, BytesMessage, { signal, metadata });
}

export function readableOf(call: ByteCall, what: string): Readable {
  return Readable.from(dataOf(call, what), { objectMode: false, highWaterMark: chunkBytes });
}

async function* dataOf(call: ByteCall, what: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const { data } of call.messages) if (data.length > 0) yield data;
  } catch (error) {
    throw told(error, what);
  }
}

/** Finished when the client has ended the call well: it has everything then. */
export function writableOf(call: ByteCall, what: string): Writable {
  return new Writable({
    highWaterMark: chunkBytes,
    write(chunk: Buffer, _encoding, callback) {
      sendChunks(call, chunk).then(
        () => callback(),
        (error) => callback(told(error, what)),
      );
    },
    final(callback) {
      call.endSending();
      drain(call).then(
        () => callback(),
        (error) => callback(told(error, what)),
      );
    },
    destroy(error, callback) {
      call.cancel();
      callback(error);
    },
  });
}

/** A connection made of a call: the end of what we send is the end of ours only. */
export function duplexOf(call: ByteCall, what: string): Duplex {
  const incoming = dataOf(call, what);
  const stream: Duplex = new Duplex({
    read() {
      incoming.next().then(
        ({ value, done }) => stream.push(done === true ? null : value),
        (error: Error) => stream.destroy(error),
      );
    },
    write(chunk: Buffer, _encoding, callback) {
      sendChunks(call, chunk).then(
        () => callback(),
        (error) => callback(told(error, what)),
      );
    },
    final(callback) {
      call.endSending();
      callback();
    },
    destroy(error, callback) {
      call.cancel();
      callback(error);
    },
  });
  return stream;
}

async function sendChunks(call: ByteCall, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += chunkBytes) await call.send({ data: bytes.subarray(at, at + chunkBytes) });
}

async function drain(call: ByteCall): Promise<void> {
  for await (const _ of call.messages);
}

function told(error: unknown, what: string): Error {
  return error instanceof GrpcError ? engineErrorOf(error, what) : (error as Error);
}
