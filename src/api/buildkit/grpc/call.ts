/**
 * Both ends of a call on an HTTP/2 stream. Reading stops the other side when nobody takes (HTTP/2's windows do it), and `send` waits while the other side takes nothing.
 */
import type { Http2Stream } from 'node:http2';
import type { MessageType } from '../protobuf/message.ts';
import { frame } from './frames.ts';
import { GrpcError, grpcCodes } from './status.ts';

/** Metadata of a call: names in lower case, values in their order. */
export type Metadata = ReadonlyMap<string, readonly string[]>;

export async function sendMessage<M>(stream: Http2Stream, type: MessageType<M>, message: Partial<M>): Promise<void> {
  if (stream.destroyed || stream.writableEnded) throw streamGone();
  if (stream.write(frame(type.encode(message)))) return;
  await new Promise<void>((resolve, reject) => {
    const done = (settle: () => void) => {
      stream.off('drain', drained);
      stream.off('close', closed);
      settle();
    };
    const drained = () => done(resolve);
    const closed = () => done(() => reject(streamGone()));
    stream.once('drain', drained);
    stream.once('close', closed);
  });
}

/** As HTTP/2's raw headers have it: name, value, name, value. Those of HTTP itself are left out. */
export function metadataOf(rawHeaders: readonly string[]): Metadata {
  const metadata = new Map<string, string[]>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = [rawHeaders[at]?.toLowerCase(), rawHeaders[at + 1]];
    if (!name.startsWith(':')) metadata.set(name, [...(metadata.get(name) ?? []), value]);
  }
  return metadata;
}

const timeoutUnits: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 };
/** What a timer of Node's can wait. */
const longestMs = 2 ** 31 - 1;

/** `grpc-timeout: 15S`; null: it may take as long as it wants. */
export function timeoutMs(metadata: Metadata): number | null {
  const match = /^(\d{1,8})([HMSmun])$/.exec(metadata.get('grpc-timeout')?.[0] ?? '');
  if (match === null) return null;
  return Math.min(longestMs, Math.ceil(Number(match[1]) * (timeoutUnits[match[2] ?? 'S'] ?? 1000)));
}

export function streamGone(): GrpcError {
  return new GrpcError(grpcCodes.cancelled, 'context canceled');
}
