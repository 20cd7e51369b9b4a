/**
 * One connection (TCP, TLS or unix) to a receiver of log lines, opened when it is needed and again after it broke. A write resolves when the kernel took the
 * bytes, or with `reply` when the receiver answered. That the receiver hung up is noticed before the next write, so that no lines go into the void then.
 */
import { connect as connectPlain, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { EngineError } from '../../base/errors.ts';

export interface StreamTarget {
  readonly plain: NetConnectOpts;
  readonly tls: (() => ConnectionOptions) | null;
  /** For messages: `tcp 10.0.0.1:514`. */
  readonly name: string;
}

const connectMs = 10_000;
const replyMs = 30_000;

export class StreamConnection {
  readonly #target: StreamTarget;
  #socket: Socket | null = null;
  #openedMs = 0;
  #received = '';
  #wake: () => void = () => {};

  constructor(target: StreamTarget) {
    this.#target = target;
  }

  async connect(signal: AbortSignal): Promise<void> {
    if (this.#socket !== null && !this.#socket.destroyed) return;
    this.#socket = await this.#open(signal);
    this.#openedMs = Date.now();
  }

  /** `reply`: resolves once this is in what the receiver answered. */
  async write(bytes: Buffer, signal: AbortSignal, reply: string | null = null): Promise<void> {
    await this.connect(signal);
    const socket = this.#socket as Socket;
    this.#received = '';
    try {
      await abortable(socket, signal, (done, fail) => {
        socket.once('error', fail);
        socket.once('close', () => fail(this.#failure('the receiver closed the connection')));
        socket.write(bytes, (error) => {
          if (error) fail(error);
          else if (reply === null) done();
        });
        if (reply !== null) this.#awaitReply(reply, done, fail);
      });
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** The next write opens a new connection when this one is older. */
  renewAfter(ageMs: number): void {
    if (Date.now() - this.#openedMs > ageMs) this.close();
  }

  close(): void {
    this.#socket?.destroySoon();
    this.#socket = null;
  }

  #awaitReply(reply: string, done: () => void, fail: (error: Error) => void): void {
    const timer = setTimeout(() => fail(this.#failure(`no acknowledgement within ${replyMs / 1000} s`)), replyMs);
    timer.unref();
    this.#wake = () => {
      if (!this.#received.includes(reply)) return;
      clearTimeout(timer);
      done();
    };
  }

  async #open(signal: AbortSignal): Promise<Socket> {
    const { plain, tls } = this.#target;
    const secure = tls?.();
    const socket = secure === undefined ? connectPlain(plain) : connectTls({ ...secure, ...(plain as ConnectionOptions) });
    const timer = setTimeout(() => socket.destroy(this.#failure('no answer within 10 s')), connectMs);
    try {
      await abortable(socket, signal, (done, fail) => {
        socket.once('error', fail);
        socket.once(secure === undefined ? 'connect' : 'secureConnect', done);
      });
    } catch (error) {
      socket.destroy();
      throw this.#failure(error instanceof Error ? error.message : String(error), error);
    } finally {
      clearTimeout(timer);
    }
    this.#watch(socket);
    return socket;
  }

  #watch(socket: Socket): void {
    socket.setKeepAlive(true, 15_000);
    socket.setMaxListeners(0);
    // Whoever writes hears of it by the failed write; between two writes nobody has to.
    socket.on('error', () => {});
    socket.on('end', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      this.#received = (this.#received + chunk.toString('latin1')).slice(-4096);
      this.#wake();
    });
    // A receiver keeps no daemon alive.
    socket.unref();
  }

  #failure(why: string, cause?: unknown): EngineError {
    return new EngineError('unavailable', `${this.#target.name}: ${why}`, { cause });
  }
}

/** Settles once; listeners that `start` left on the socket do no harm afterwards. */
function abortable(socket: Socket, signal: AbortSignal, start: (done: () => void, fail: (error: Error) => void) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const known = new Map(['error', 'close', 'connect', 'secureConnect'].map((event) => [event, new Set(socket.listeners(event))]));
  const abort = () => reject(new EngineError('unavailable', 'given up: the daemon stops, or the container is removed'));
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  start(resolve, reject);
  return promise.finally(() => {
    signal.removeEventListener('abort', abort);
    for (const [event, before] of known) {
      for (const listener of socket.listeners(event)) if (!before.has(listener)) socket.removeListener(event, listener as () => void);
    }
  });
}
