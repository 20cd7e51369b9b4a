/**
 * One HTTP/1.1 connection over a stream socket: one exchange at a time, kept alive between exchanges, or given over whole to a
 * hijacked stream. Written on `node:net` because loading `node:http` costs a command 8 ms (see DESIGN.md section 2).
 */
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import { type DaemonAddress, formatAddress, hostHeader } from './address.ts';
import { openSocket } from './open-socket.ts';
import { type ResponseHead, ResponseParser } from './response-parser.ts';

export type RequestBody = Uint8Array | AsyncIterable<Uint8Array>;

export interface WireRequest {
  readonly method: string;
  /** Path and query, already encoded. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: RequestBody | null;
  /** The protocol that the connection is to be turned into; null: it stays HTTP. */
  readonly upgrade: string | null;
}

export interface WireResponse extends ResponseHead {
  /** Back-pressured; ends with the response. Must be read to its end or destroyed, or the connection is lost. */
  readonly body: Readable;
  /** Set when the connection was upgraded; `body` is then empty. Half-close it with `end()`. */
  readonly stream: Socket | null;
}

/** Nobody answers at the address. */
export class ConnectError extends EngineError {
  override readonly name = 'ConnectError';
  readonly address: string;
  constructor(address: string, cause: unknown) {
    super('unavailable', connectMessage(address, cause), { cause });
    this.address = address;
  }
}

function connectMessage(address: string, cause: unknown): string {
  if (hasErrnoCode(cause, 'EACCES', 'EPERM'))
    return `permission denied while trying to connect to the Gantry daemon at ${address}: run as root or join its group`;
  if (address.startsWith('tcp://') && !hasErrnoCode(cause, 'ECONNREFUSED'))
    return `Cannot connect to the Gantry daemon at ${address}: ${errorText(cause)}`;
  return `Cannot connect to the Gantry daemon at ${address}. Is it running? Start it with \`gantry daemon\``;
}

/** The connection broke before the first byte of an answer: a request without side effects, or on a reused connection, may be sent again. */
export class ConnectionLostError extends EngineError {
  override readonly name = 'ConnectionLostError';
}

export class Connection {
  readonly #socket: Socket;
  /** Exchanges finished on this connection; more than 0: the daemon may have closed it while it was idle. */
  exchanges = 0;
  #fail: ((error: Error) => void) | null = null;
  #dead = false;

  readonly #host: string;

  private constructor(socket: Socket, address: DaemonAddress) {
    this.#socket = socket;
    this.#host = hostHeader(address);
    socket.on('error', (error) => this.#lost(error));
    socket.on('close', () => this.#lost(null));
  }

  static async connect(address: DaemonAddress, signal?: AbortSignal): Promise<Connection> {
    signal?.throwIfAborted();
    const { socket, ready } = await openSocket(address);
    return await new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const onError = (error: Error) => {
        signal?.removeEventListener('abort', onAbort);
        reject(new ConnectError(formatAddress(address), error));
      };
      const onAbort = () => {
        socket.destroy();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      socket.once('error', onError);
      socket.once(ready, () => {
        signal?.removeEventListener('abort', onAbort);
        socket.off('error', onError);
        resolve(new Connection(socket, address));
      });
    });
  }

  get usable(): boolean {
    return !this.#dead && !this.#socket.destroyed && !this.#socket.readableEnded;
  }

  /** An idle connection must not keep the process alive. */
  idle(): void {
    this.#socket.resume();
    this.#socket.unref();
  }

  close(): void {
    this.#dead = true;
    this.#socket.destroy();
  }

  /** `onReusable` is called when the answer has been read to its end and the connection can carry another request. */
  exchange(request: WireRequest, onReusable: () => void, signal?: AbortSignal): Promise<WireResponse> {
    this.#socket.ref();
    return new Promise((resolve, reject) =>
      new Exchange(this, this.#socket, { ...request, host: this.#host }, { resolve, reject, onReusable }, signal).run(),
    );
  }

  /** @internal Where the running exchange wants to hear of a broken connection. */
  onLost(handler: ((error: Error) => void) | null): void {
    this.#fail = handler;
  }

  #lost(error: Error | null): void {
    this.#dead = true;
    const fail = this.#fail;
    this.#fail = null;
    fail?.(error ?? new ConnectionLostError('unavailable', 'the daemon closed the connection'));
  }
}

interface HostedRequest extends WireRequest {
  readonly host: string;
}

interface Outcome {
  readonly resolve: (response: WireResponse) => void;
  readonly reject: (error: unknown) => void;
  readonly onReusable: () => void;
}

/** One request and its response. Owns the socket's `data` and `end` events while it runs. */
class Exchange {
  readonly #connection: Connection;
  readonly #socket: Socket;
  readonly #request: HostedRequest;
  readonly #outcome: Outcome;
  readonly #signal: AbortSignal | undefined;
  readonly #parser: ResponseParser;
  readonly #body: Readable;
  #settled = false;
  #sent = false;
  #finished = false;

  constructor(connection: Connection, socket: Socket, request: HostedRequest, outcome: Outcome, signal: AbortSignal | undefined) {
    this.#connection = connection;
    this.#socket = socket;
    this.#request = request;
    this.#outcome = outcome;
    this.#signal = signal;
    this.#body = new Readable({ read: () => void this.#socket.resume(), destroy: (error, done) => this.#bodyDestroyed(error, done) });
    // It may break before anybody reads it; whoever does is told then.
    this.#body.on('error', () => {});
    this.#parser = new ResponseParser(
      { requestMethod: request.method, expectUpgrade: request.upgrade !== null },
      {
        head: (head) => this.#onHead(head),
        data: (chunk) => {
          if (!this.#body.push(chunk)) this.#socket.pause();
        },
        end: () => this.#onEnd(),
        upgrade: (rest) => this.#socket.unshift(rest),
      },
    );
  }

  run(): void {
    this.#connection.onLost((error) => this.#failed(error));
    this.#socket.on('data', this.#onData);
    this.#socket.on('end', this.#onSocketEnd);
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (this.#signal?.aborted) {
      this.#onAbort();
      return;
    }
    this.#send().catch((error: unknown) => this.#failed(error));
  }

  readonly #onAbort = (): void => this.#failed(this.#signal?.reason);

  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#parser.feed(chunk);
    } catch (error) {
      this.#failed(error);
    }
  };

  readonly #onSocketEnd = (): void => {
    try {
      if (this.#parser.state === 'head') throw new ConnectionLostError('unavailable', 'the daemon closed the connection without an answer');
      this.#parser.finish();
    } catch (error) {
      this.#failed(error);
    }
  };

  async #send(): Promise<void> {
    const { body } = this.#request;
    if (body === null || body instanceof Uint8Array) {
      const head = formatHead(this.#request, body === null ? 'none' : body.byteLength);
      this.#sent = true;
      this.#socket.write(body === null ? head : Buffer.concat([head, body]));
      return;
    }
    this.#socket.write(formatHead(this.#request, 'chunked'));
    for await (const chunk of body) {
      // The daemon may refuse before it has read everything; what is left is then not worth sending.
      if (this.#settled) return;
      if (chunk.byteLength > 0) await this.#write(Buffer.concat([Buffer.from(`${chunk.byteLength.toString(16)}\r\n`), chunk, CRLF]));
    }
    this.#sent = true;
    if (!this.#settled) this.#socket.write('0\r\n\r\n');
  }

  #write(bytes: Buffer): Promise<void> | undefined {
    if (this.#socket.write(bytes)) return undefined;
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
      if (this.#socket.destroyed) done();
    });
  }

  #onHead(head: ResponseHead): void {
    this.#settled = true;
    if (this.#parser.state !== 'raw') {
      this.#outcome.resolve({ ...head, body: this.#body, stream: null });
      return;
    }
    this.#release();
    this.#socket.pause();
    this.#body.push(null);
    this.#outcome.resolve({ ...head, body: this.#body, stream: this.#socket });
  }

  #onEnd(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#release();
    this.#body.push(null);
    // A refused upload leaves half a request on the wire.
    if (this.#parser.keepAlive && this.#sent && this.#connection.usable) {
      this.#connection.exchanges += 1;
      this.#outcome.onReusable();
    } else this.#connection.close();
  }

  #bodyDestroyed(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#finished && this.#parser.state !== 'raw') {
      this.#finished = true;
      this.#release();
      this.#connection.close();
    }
    done(error);
  }

  #failed(error: unknown): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#release();
    this.#connection.close();
    const cause = error instanceof Error ? error : new EngineError('unavailable', errorText(error));
    if (this.#settled) this.#body.destroy(cause);
    else {
      this.#settled = true;
      this.#outcome.reject(
        hasErrnoCode(cause, 'EPIPE', 'ECONNRESET')
          ? new ConnectionLostError('unavailable', 'the daemon closed the connection', { cause })
          : cause,
      );
    }
  }

  #release(): void {
    this.#connection.onLost(null);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onSocketEnd);
  }
}

const CRLF = Buffer.from('\r\n');

function formatHead(request: HostedRequest, body: 'none' | 'chunked' | number): Buffer {
  let head = `${request.method} ${request.target} HTTP/1.1\r\nHost: ${request.host}\r\n`;
  for (const [name, value] of Object.entries(request.headers)) head += `${name}: ${value}\r\n`;
  if (/[\0\r\n]/.test(request.target) || Object.values(request.headers).some((value) => /[\0\r\n]/.test(value))) {
    throw new EngineError('invalid', 'a request target or header must not hold line breaks');
  }
  if (request.upgrade !== null) head += `Connection: Upgrade\r\nUpgrade: ${request.upgrade}\r\n`;
  if (body === 'chunked') head += 'Transfer-Encoding: chunked\r\n';
  else if (body !== 'none' || request.method === 'POST' || request.method === 'PUT')
    head += `Content-Length: ${body === 'none' ? 0 : body}\r\n`;
  return Buffer.from(`${head}\r\n`, 'latin1');
}
