/**
 * Connections to launcher and monitors. A `FrameConnection` asks and is answered, and hears events; `openStream` makes a connection whose first frames are
 * question and answer and which is raw stdio from there.
 */
import { connect, type Socket } from 'node:net';
import { EngineError, hasErrnoCode } from '../base/errors.ts';
import { decodeFrameHeader, encodeFrame, type Frame, type FrameHeader, frameHeaderBytes, message, PayloadReader } from './protocol.ts';

/** `sockaddr_un.sun_path` less its NUL. */
const maxSocketPathBytes = 107;

/** The peer answered with ERROR. */
export class MonitorRefusal extends EngineError {
  override readonly name = 'MonitorRefusal';
  readonly errno: number;

  constructor(errno: number) {
    super('system', `the monitor refused with errno ${errno}`, { details: { errno } });
    this.errno = errno;
  }
}

/** Nobody listens there (any more). */
export function isNobodyThere(thrown: unknown): boolean {
  return hasErrnoCode(thrown, 'ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE');
}

export async function connectSocket(path: string): Promise<Socket> {
  if (Buffer.byteLength(path) > maxSocketPathBytes) {
    throw new EngineError('invalid', `the socket path ${path} has more than ${maxSocketPathBytes} bytes: choose a shorter --exec-root`);
  }
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ path, allowHalfOpen: true });
  socket.once('error', reject);
  socket.once('connect', () => {
    socket.off('error', reject);
    // Every failure is seen as `close` by whoever waits; without a listener it would end the daemon.
    socket.on('error', () => {});
    resolve(socket);
  });
  return promise;
}

/** Exactly one frame; what follows stays in the socket. Rejects when the peer closes first. */
export async function readFrame(socket: Socket): Promise<Frame> {
  const { promise, resolve, reject } = Promise.withResolvers<Frame>();
  let header: FrameHeader | null = null;
  const onReadable = (): void => {
    try {
      if (header === null) {
        const bytes: Buffer | null = socket.read(frameHeaderBytes);
        if (bytes === null) return;
        header = decodeFrameHeader(bytes);
      }
      const bytes: Buffer | null = header.length === 0 ? Buffer.alloc(0) : socket.read(header.length);
      if (bytes !== null) resolve({ type: header.type, request: header.request, payload: new PayloadReader(bytes) });
    } catch (thrown) {
      reject(thrown);
    }
  };
  const onClosed = (): void => reject(new EngineError('unavailable', 'the monitor closed the connection before it answered'));
  socket.on('readable', onReadable).on('end', onClosed).on('close', onClosed);
  onReadable();
  try {
    return await promise;
  } finally {
    socket.off('readable', onReadable).off('end', onClosed).off('close', onClosed);
  }
}

/** Sends the first frame of a connection and answers its reply; the socket is raw stdio from there. */
export async function askOnce(socket: Socket, type: number, payload: Uint8Array): Promise<Frame> {
  socket.write(encodeFrame(type, 1, payload));
  try {
    return refused(await readFrame(socket));
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  }
}

/** What is read from it is the process's output; it closes by itself once that has ended and been read. */
export function asStdioStream(socket: Socket): Socket {
  socket.once('end', () => socket.end());
  return socket;
}

function refused(frame: Frame): Frame {
  if (frame.type === message.error) throw new MonitorRefusal(frame.payload.u32());
  return frame;
}

export class FrameConnection {
  /** Resolves when the peer is gone or `close` was called. Never rejects. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Frame>>();
  readonly #onEvent: (event: Frame) => void;
  #pieces: Buffer[] = [];
  #buffered = 0;
  #header: FrameHeader | null = null;
  #lastRequest = 1;
  #isClosed = false;

  /** `socket` may already have asked and been answered (see `askOnce`). `onEvent` hears frames with request 0. */
  constructor(socket: Socket, onEvent: (event: Frame) => void = () => {}) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    const end = (): void => {
      this.#isClosed = true;
      socket.destroy();
      for (const { reject } of this.#waiting.values()) reject(new EngineError('unavailable', 'the connection to the monitor is gone'));
      this.#waiting.clear();
      resolve();
    };
    socket.on('data', (bytes: Buffer) => this.#take(bytes, end));
    socket.once('end', end);
    socket.once('close', end);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async request(type: number, payload: Uint8Array = new Uint8Array()): Promise<Frame> {
    if (this.#isClosed) throw new EngineError('unavailable', 'the connection to the monitor is gone');
    const request = ++this.#lastRequest;
    const waiting = Promise.withResolvers<Frame>();
    this.#waiting.set(request, waiting);
    this.#socket.write(encodeFrame(type, request, payload));
    return refused(await waiting.promise);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Not counted among what keeps this process alive. */
  unref(): void {
    this.#socket.unref();
  }

  #take(bytes: Buffer, end: () => void): void {
    this.#pieces.push(bytes);
    this.#buffered += bytes.length;
    try {
      for (let frame = this.#nextFrame(); frame !== null; frame = this.#nextFrame()) this.#dispatch(frame);
    } catch {
      end(); // Not our protocol: nothing on this connection can be trusted any more.
    }
  }

  #nextFrame(): Frame | null {
    if (this.#header === null) {
      if (this.#buffered < frameHeaderBytes) return null;
      this.#header = decodeFrameHeader(this.#cut(frameHeaderBytes));
    }
    const { length, type, request } = this.#header;
    if (this.#buffered < length) return null;
    this.#header = null;
    return { type, request, payload: new PayloadReader(this.#cut(length)) };
  }

  #cut(length: number): Buffer {
    const all = this.#pieces.length === 1 ? this.#pieces[0] : undefined;
    const bytes = all ?? Buffer.concat(this.#pieces);
    this.#pieces = [bytes.subarray(length)];
    this.#buffered -= length;
    return bytes.subarray(0, length);
  }

  #dispatch(frame: Frame): void {
    if (frame.request === 0) {
      this.#onEvent(frame);
      return;
    }
    this.#waiting.get(frame.request)?.resolve(frame);
    this.#waiting.delete(frame.request);
  }
}
