/**
 * A gRPC server on one connection that already speaks HTTP/2: the client's preface comes first (`PRI * HTTP/2.0`), without a header of HTTP/1.
 *
 *     :path /service/method ─▶ its entry in the table ─▶ messages ─▶ trailers (grpc-status)
 *
 * A call ends for its handler (`signal`) when the client takes it back, its deadline passes or the connection breaks. Garbage ends the connection, never the daemon.
 */
import { performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { errorText } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import type { MessageType } from '../protobuf/message.ts';
import { type Metadata, metadataOf, sendMessage, streamGone, timeoutMs } from './call.ts';
import { messagesOf } from './frames.ts';
import { connectionOptions, widenWindow } from './settings.ts';
import { GrpcError, grpcCodes, grpcErrorOf, statusTrailers } from './status.ts';

export interface ServerCall {
  readonly metadata: Metadata;
  readonly signal: AbortSignal;
}

export interface GrpcMethod {
  /** Runs one call to its end; what it throws is the status. */
  serve(stream: ServerHttp2Stream, call: ServerCall): Promise<void>;
}

/** `/package.Service/Method` → what serves it. */
export type GrpcMethods = ReadonlyMap<string, GrpcMethod>;

export function unary<Q, R>(
  request: MessageType<Q>,
  response: MessageType<R>,
  handle: (message: Q, call: ServerCall) => Promise<Partial<R>>,
): GrpcMethod {
  return {
    async serve(stream, call) {
      const answer = await handle(await onlyMessage(stream, request), call);
      await sendMessage(stream, response, answer);
    },
  };
}

export function serverStream<Q, R>(
  request: MessageType<Q>,
  response: MessageType<R>,
  handle: (message: Q, call: ServerCall, send: (message: Partial<R>) => Promise<void>) => Promise<void>,
): GrpcMethod {
  return {
    async serve(stream, call) {
      await handle(await onlyMessage(stream, request), call, (message) => sendMessage(stream, response, message));
    },
  };
}

async function onlyMessage<Q>(stream: ServerHttp2Stream, type: MessageType<Q>): Promise<Q> {
  // Leaving the loop must not destroy the stream, which still has to carry the answer.
  for await (const bytes of messagesOf(stream.iterator({ destroyOnReturn: false }))) {
    stream.resume();
    return type.decode(bytes);
  }
  throw new GrpcError(grpcCodes.internal, 'the call has no message');
}

/** Resolves when the connection is closed. */
export function serveGrpc(connection: Duplex, methods: GrpcMethods, logger: Logger): Promise<void> {
  let session: ServerHttp2Session;
  try {
    session = performServerHandshake(connection, connectionOptions);
  } catch (error) {
    logger.debug({ error: errorText(error) }, 'a gRPC connection did not begin');
    connection.destroy();
    return Promise.resolve();
  }
  widenWindow(session);
  return new Promise((resolve) => {
    session.on(
      'stream',
      (stream, headers, _flags, rawHeaders) => void answer(stream, metadataOf(rawHeaders), headers[':path'] ?? '', methods, logger),
    );
    session.on('error', (error) => {
      logger.debug({ error: errorText(error) }, 'a gRPC connection broke');
      connection.destroy();
    });
    session.once('close', () => {
      connection.destroy();
      resolve();
    });
    connection.once('close', () => session.destroy());
    // Sockets of an HTTP server stay half-open; a connection of HTTP/2 has no use for one half.
    connection.once('end', () => session.destroy());
    if (connection.destroyed) session.destroy();
  });
}

async function answer(stream: ServerHttp2Stream, metadata: Metadata, path: string, methods: GrpcMethods, logger: Logger): Promise<void> {
  const gone = new AbortController();
  stream.on('error', () => {});
  stream.once('close', () => gone.abort(streamGone()));
  let ended: GrpcError | null = null;
  stream.once('wantTrailers', () => {
    if (!stream.closed && !stream.destroyed) stream.sendTrailers(statusTrailers(ended));
  });
  const deadline = startDeadline(metadata, gone);
  try {
    const method = methods.get(path);
    if (method === undefined) throw new GrpcError(grpcCodes.unimplemented, `unknown method ${path}`);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
    await untilAborted(method.serve(stream, { metadata, signal: gone.signal }), gone.signal);
  } catch (error) {
    ended = grpcErrorOf(error);
    logger.debug({ path, code: ended.code }, 'a gRPC call failed');
  } finally {
    clearTimeout(deadline);
  }
  endCall(stream, ended);
}

function endCall(stream: ServerHttp2Stream, ended: GrpcError | null): void {
  if (stream.destroyed) return;
  if (stream.headersSent) stream.end();
  else stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto', ...statusTrailers(ended) }, { endStream: true });
  // What the client still sends is nobody's: the stream only closes once it is gone.
  stream.resume();
}

function startDeadline(metadata: Metadata, gone: AbortController): NodeJS.Timeout | undefined {
  const ms = timeoutMs(metadata);
  if (ms === null) return undefined;
  return setTimeout(() => gone.abort(new GrpcError(grpcCodes.deadlineExceeded, 'context deadline exceeded')), ms);
}

/** A handler is given the time it needs to clean up, but the client has its answer at once. */
function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) aborted();
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
