/**
 * A gRPC client on one connection whose other side waits for HTTP/2's preface: a session, where the roles are the other way round than the connection was made.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import { errorText } from '../../../base/errors.ts';
import type { MessageType } from '../protobuf/message.ts';
import { sendMessage, streamGone } from './call.ts';
import { messagesOf } from './frames.ts';
import { connectionOptions, widenWindow } from './settings.ts';
import { GrpcError, grpcCodes, readStatus } from './status.ts';

export type OutgoingMetadata = Readonly<Record<string, readonly string[]>>;

export interface GrpcClient {
  unary<Q, R>(path: string, request: Message<Q>, response: MessageType<R>, options: CallOptions): Promise<R>;
  open<Q, R>(path: string, request: MessageType<Q>, response: MessageType<R>, options: CallOptions): GrpcStream<Q, R>;
  /** Aborted when the connection is gone. */
  readonly closed: AbortSignal;
  close(): void;
}

export interface Message<M> {
  readonly type: MessageType<M>;
  readonly value: Partial<M>;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  readonly metadata?: OutgoingMetadata;
}

export interface GrpcStream<Q, R> {
  /** Waits while the other side takes nothing. */
  send(message: Partial<Q>): Promise<void>;
  /** Nothing more is sent. */
  endSending(): void;
  /** To be read once; ends when the other side ended the call well, else throws its error. */
  readonly messages: AsyncGenerator<R, void, undefined>;
  cancel(): void;
}

export function createGrpcClient(connection: Duplex): GrpcClient {
  const closed = new AbortController();
  const session = connect('http://session', { createConnection: () => connection, ...connectionOptions });
  session.on('error', () => connection.destroy());
  session.once('connect', () => widenWindow(session));
  const end = () => {
    closed.abort(new GrpcError(grpcCodes.unavailable, 'the client closed its session'));
    connection.destroy();
    session.destroy();
  };
  session.once('close', end);
  connection.once('close', end);
  // Sockets of an HTTP server stay half-open; a session has no use for one half.
  connection.once('end', end);
  if (connection.destroyed) end();
  return {
    closed: closed.signal,
    close: end,
    open: (path, request, response, options) => new Call(session, { path, request, response, options, closed: closed.signal }),
    async unary(path, request, response, options) {
      const call = this.open(path, request.type, response, options);
      await call.send(request.value);
      call.endSending();
      let answer: Awaited<ReturnType<typeof call.messages.next>>['value'] | undefined;
      for await (const message of call.messages) answer ??= message;
      if (answer === undefined) throw new GrpcError(grpcCodes.internal, `${path} was answered without a message`);
      return answer;
    },
  };
}

interface CallParts<Q, R> {
  readonly path: string;
  readonly request: MessageType<Q>;
  readonly response: MessageType<R>;
  readonly options: CallOptions;
  readonly closed: AbortSignal;
}

class Call<Q, R> implements GrpcStream<Q, R> {
  readonly messages: AsyncGenerator<R, void, undefined>;
  readonly #stream: ClientHttp2Stream;
  readonly #parts: CallParts<Q, R>;
  readonly #ended = Promise.withResolvers<GrpcError | null>();

  constructor(session: ClientHttp2Session, parts: CallParts<Q, R>) {
    const { closed, options } = parts;
    closed.throwIfAborted();
    options.signal.throwIfAborted();
    this.#parts = parts;
    const headers = { ':method': 'POST', ':path': parts.path, 'content-type': 'application/grpc', te: 'trailers' };
    try {
      this.#stream = session.request({ ...headers, ...mutable(options.metadata ?? {}) });
    } catch (cause) {
      // It is closing, but not closed: Node takes no more requests.
      throw new GrpcError(grpcCodes.unavailable, `the client closed its session (${errorText(cause)})`);
    }
    this.#watch();
    this.messages = this.#read();
  }

  async send(message: Partial<Q>): Promise<void> {
    try {
      await sendMessage(this.#stream, this.#parts.request, message);
    } catch (error) {
      // What the other side said of it tells more than that it does not listen any more.
      throw (await this.#endedBy()) ?? error;
    }
  }

  endSending(): void {
    if (!this.#stream.destroyed) this.#stream.end();
  }

  cancel(): void {
    if (!this.#stream.closed) this.#stream.close(8);
  }

  #watch(): void {
    const { options } = this.#parts;
    const stream = this.#stream;
    const cancel = () => this.cancel();
    options.signal.addEventListener('abort', cancel, { once: true });
    let lost = new GrpcError(grpcCodes.unavailable, 'the client ended the call without a status');
    const take = (headers: Record<string, unknown>) => {
      if (headers['grpc-status'] !== undefined) {
        this.#ended.resolve(readStatus(headers));
        // Whatever was still to be sent: the call is over.
        this.endSending();
      } else if (headers[':status'] !== undefined && headers[':status'] !== 200)
        lost = new GrpcError(grpcCodes.unavailable, `the client answered with HTTP status ${headers[':status']}`);
    };
    stream.once('response', take);
    stream.once('trailers', take);
    // Also told by `close`.
    stream.on('error', () => {});
    stream.once('close', () => {
      options.signal.removeEventListener('abort', cancel);
      this.#ended.resolve(options.signal.aborted ? streamGone() : lost);
    });
  }

  async #endedBy(): Promise<GrpcError | null> {
    if (this.#parts.closed.aborted) return this.#parts.closed.reason;
    return await this.#ended.promise;
  }

  async *#read(): AsyncGenerator<R, void, undefined> {
    try {
      for await (const bytes of messagesOf(this.#stream)) yield this.#parts.response.decode(bytes);
    } catch (error) {
      if (!this.#stream.destroyed && !this.#stream.closed) {
        this.cancel();
        throw error;
      }
      const ended = await this.#endedBy();
      throw ended ?? error;
    }
    const ended = await this.#endedBy();
    if (ended !== null) throw ended;
  }
}

function mutable(metadata: OutgoingMetadata): Record<string, string[]> {
  return Object.fromEntries(Object.entries(metadata).map(([name, values]) => [name, [...values]]));
}
