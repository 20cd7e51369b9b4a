/**
 * Many streams over the one connection of a build session, alike on both sides (build-frames.ts has the bytes). Streams with something to send take turns, a frame each, as long as the
 * connection takes it and their receiver has room.
 */
import { Duplex } from 'node:stream';
import { EngineError, type ErrorCode, errorText } from '../base/errors.ts';
import {
  BuildFrameDecoder,
  broken,
  type FrameHandler,
  type FrameType,
  frameHeader,
  INITIAL_CREDIT,
  MAXIMUM_DATA_BYTES,
} from './build-frames.ts';
import { parseJsonText } from './json-text.ts';

export interface BuildStreamsHandler {
  /** The other side asks something. Null: nobody may ask here. */
  readonly opened: ((question: unknown, stream: SessionStream) => void) | null;
  readonly message: ((value: unknown) => void) | null;
  /** Called once. */
  closed(error: Error): void;
}

/** What may wait in our memory for the connection. */
const CONNECTION_BYTES = 1024 * 1024;
const CREDIT_STEP = INITIAL_CREDIT / 8;

export class BuildStreams implements FrameHandler {
  readonly #connection: Duplex;
  readonly #handler: BuildStreamsHandler;
  readonly #streams = new Map<number, SessionStream>();
  readonly #ready = new Set<SessionStream>();
  #next = 1;
  #isClosed = false;
  #isGathering = false;

  constructor(connection: Duplex, handler: BuildStreamsHandler) {
    this.#connection = connection;
    this.#handler = handler;
    const decoder = new BuildFrameDecoder(this);
    connection.on('data', (chunk: Buffer) => {
      try {
        decoder.push(chunk);
      } catch (error) {
        this.close(error as Error);
      }
    });
    const left = (error?: Error) => this.close(new EngineError('unavailable', 'the connection of the build was closed', { cause: error }));
    connection.on('end', () => left());
    connection.on('error', left);
    connection.on('close', () => left());
    connection.on('drain', () => this.#pump());
  }

  /** A question to the other side. */
  open(question: unknown): SessionStream {
    const id = this.#next++;
    const stream = this.#add(id);
    this.#write('open', id, Buffer.from(JSON.stringify(question)));
    return stream;
  }

  send(message: unknown): void {
    this.#write('message', 0, Buffer.from(JSON.stringify(message)));
  }

  /** Bytes that wait for the connection. */
  get backlogBytes(): number {
    return this.#connection.writableLength;
  }

  /** Everything told is sent; then the connection ends. */
  end(): void {
    this.#isClosed = true;
    for (const stream of this.#streams.values()) stream.giveUp(new EngineError('unavailable', 'the build is over'));
    this.#connection.end();
  }

  close(error: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const stream of this.#streams.values()) stream.giveUp(error);
    this.#connection.destroy();
    this.#handler.closed(error);
  }

  /** @internal */
  frame(type: FrameType, id: number, payload: Buffer): void {
    if (this.#isClosed) return;
    if (type === 'message') this.#message(payload);
    else if (type === 'open') this.#opened(id, payload);
    else {
      // Frames of a stream that we gave up may still be on their way.
      this.#streams.get(id)?.frame(type, payload);
    }
  }

  /** @internal */
  ready(stream: SessionStream): void {
    this.#ready.add(stream);
    this.#pump();
  }

  /** @internal */
  control(type: FrameType, id: number, payload: Buffer): void {
    this.#write(type, id, payload);
  }

  /** @internal */
  gone(stream: SessionStream): void {
    this.#streams.delete(stream.id);
    this.#ready.delete(stream);
  }

  #message(payload: Buffer): void {
    if (this.#handler.message === null) throw broken('a message');
    this.#handler.message(parseJsonText(payload.toString('utf8'), 'a message of the build session'));
  }

  #opened(id: number, payload: Buffer): void {
    if (this.#handler.opened === null || id === 0 || this.#streams.has(id)) throw broken('a question');
    this.#handler.opened(parseJsonText(payload.toString('utf8'), 'a question of the build session'), this.#add(id));
  }

  #add(id: number): SessionStream {
    const stream = new SessionStream(this, id);
    if (this.#isClosed) stream.giveUp(new EngineError('unavailable', 'the connection of the build is closed'));
    else this.#streams.set(id, stream);
    return stream;
  }

  #write(type: FrameType, id: number, payload: Buffer): void {
    if (this.#isClosed) return;
    this.#gather();
    this.#connection.write(frameHeader(type, id, payload.length));
    if (payload.length > 0) this.#connection.write(payload);
  }

  /** What is told in one turn goes in one write: a build whose steps are cached tells dozens of events at once. */
  #gather(): void {
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#connection.cork();
    process.nextTick(() => {
      this.#isGathering = false;
      this.#connection.uncork();
    });
  }

  #pump(): void {
    if (this.#isClosed) return;
    this.#connection.cork();
    for (const stream of this.#ready) {
      if (this.#connection.writableLength >= CONNECTION_BYTES) break;
      this.#ready.delete(stream);
      const piece = stream.nextPiece(MAXIMUM_DATA_BYTES);
      if (piece.length === 0) continue;
      this.#connection.write(
        frameHeader(
          'data',
          stream.id,
          piece.reduce((sum, { length }) => sum + length, 0),
        ),
      );
      for (const bytes of piece) this.#connection.write(bytes);
      // Behind the others; the loop comes to it again.
      if (stream.hasMore) this.#ready.add(stream);
    }
    this.#connection.uncork();
  }
}

/** One stream: both directions end by themselves; destroying it tells the other side. */
export class SessionStream extends Duplex {
  readonly id: number;
  readonly #streams: BuildStreams;
  readonly #incoming: Buffer[] = [];
  #incomingBytes = 0;
  #incomingEnded = false;
  #wantsMore = false;
  #consumed = 0;
  readonly #outgoing: Buffer[] = [];
  #credit = INITIAL_CREDIT;
  #written: ((error?: Error | null) => void) | null = null;
  #isTold = false;

  constructor(streams: BuildStreams, id: number) {
    super({ allowHalfOpen: true, readableHighWaterMark: 256 * 1024, writableHighWaterMark: 512 * 1024 });
    this.id = id;
    this.#streams = streams;
    // Whoever uses it is told by what he waits for.
    this.on('error', () => {});
    this.once('close', () => streams.gone(this));
  }

  get hasMore(): boolean {
    return this.#outgoing.length > 0 && this.#credit > 0;
  }

  /** @internal Up to so many bytes that may be sent now. */
  nextPiece(maximumBytes: number): readonly Buffer[] {
    let room = Math.min(maximumBytes, this.#credit);
    const piece: Buffer[] = [];
    while (room > 0) {
      const bytes = this.#outgoing[0];
      if (bytes === undefined) break;
      if (bytes.length <= room) this.#outgoing.shift();
      else this.#outgoing[0] = bytes.subarray(room);
      const taken = bytes.subarray(0, room);
      room -= taken.length;
      this.#credit -= taken.length;
      piece.push(taken);
    }
    if (this.#outgoing.length === 0 && this.#written !== null) {
      const written = this.#written;
      this.#written = null;
      // Later: whoever writes more is not to do so in the middle of our turn.
      process.nextTick(written);
    }
    return piece;
  }

  /** @internal */
  frame(type: FrameType, payload: Buffer): void {
    if (type === 'data') this.#received(payload);
    else if (type === 'end') {
      this.#incomingEnded = true;
      this.#forward();
    } else if (type === 'credit') {
      if (payload.length !== 4) throw broken('a credit of the wrong length');
      this.#credit += payload.readUInt32BE(0);
      if (this.hasMore) this.#streams.ready(this);
    } else if (type === 'fail') this.giveUp(failureOf(payload));
  }

  /** Over, without a word to the other side. */
  giveUp(error: Error): void {
    this.#isTold = true;
    this.destroy(error);
  }

  override _read(): void {
    this.#wantsMore = true;
    this.#forward();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#streams.control('end', this.id, Buffer.alloc(0));
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const isOver = this.#incomingEnded && this.writableFinished;
    if (!this.#isTold && !isOver) {
      this.#isTold = true;
      const code = error instanceof EngineError ? error.code : 'system';
      const message = error === null ? 'it is not wanted any more' : errorText(error);
      this.#streams.control('fail', this.id, Buffer.from(JSON.stringify({ code, message })));
    }
    this.#written = null;
    this.#streams.gone(this);
    done(error);
  }

  #send(chunks: readonly Buffer[], done: (error?: Error | null) => void): void {
    this.#outgoing.push(...chunks.filter(({ length }) => length > 0));
    if (this.#outgoing.length === 0) {
      done();
      return;
    }
    this.#written = done;
    this.#streams.ready(this);
  }

  #received(bytes: Buffer): void {
    this.#incomingBytes += bytes.length;
    if (this.#incomingBytes > INITIAL_CREDIT) throw broken('more than was asked for');
    this.#incoming.push(bytes);
    this.#forward();
  }

  #forward(): void {
    while (this.#wantsMore) {
      const bytes = this.#incoming.shift();
      if (bytes === undefined) break;
      this.#incomingBytes -= bytes.length;
      this.#consumed += bytes.length;
      this.#wantsMore = this.push(bytes);
    }
    if (this.#consumed >= CREDIT_STEP && !this.#incomingEnded) {
      const credit = Buffer.alloc(4);
      credit.writeUInt32BE(this.#consumed);
      this.#consumed = 0;
      this.#streams.control('credit', this.id, credit);
    }
    if (this.#incomingEnded && this.#incoming.length === 0 && this.#wantsMore) {
      this.#wantsMore = false;
      this.push(null);
    }
  }
}

const codes: readonly ErrorCode[] = [
  'invalid',
  'unauthorized',
  'forbidden',
  'not-found',
  'conflict',
  'not-implemented',
  'unavailable',
  'system',
];

function failureOf(payload: Buffer): EngineError {
  const value = parseJsonText(payload.toString('utf8'), 'a failure of the build session');
  const { code, message } = typeof value === 'object' && value !== null ? (value as { code?: unknown; message?: unknown }) : {};
  return new EngineError(codes.find((known) => known === code) ?? 'system', typeof message === 'string' ? message : 'it failed');
}
