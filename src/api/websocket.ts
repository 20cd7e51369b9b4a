/**
 * A WebSocket as a plain stream of bytes: what the client sends in messages of any kind comes out, what goes in leaves as messages.
 *
 *   readable ◀── payload of text and binary frames        ping → pong, close → close and the end
 *   writable ──▶ one frame a chunk (frames of Docker's multiplexed stream are taken apart before: a WebSocket client gets bare output)
 *
 * There is no half-close: a client that says `close` is gone, as one whose connection breaks is.
 */
import type { IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { invalid } from '../base/errors.ts';
import { FrameDecoder } from '../wire/stream-frames.ts';
import {
  binaryOpcode,
  closeOpcode,
  encodeWebsocketClose,
  encodeWebsocketFrame,
  normalCloseCode,
  pingOpcode,
  pongOpcode,
  protocolErrorCode,
  textOpcode,
  WebsocketDecoder,
  websocketAccept,
} from '../wire/websocket-frames.ts';

/** The headers of the answer; throws where the request asks for no WebSocket, or for one of another version. */
export function websocketHandshake({ headers }: IncomingMessage): string {
  const key = headers['sec-websocket-key'];
  if (headers.upgrade?.toLowerCase() !== 'websocket' || typeof key !== 'string' || Buffer.from(key, 'base64').length !== 16)
    throw invalid('this path is for WebSocket clients: send Upgrade: websocket and a Sec-WebSocket-Key');
  if (headers['sec-websocket-version'] !== '13')
    throw invalid(`WebSocket version ${headers['sec-websocket-version'] ?? 'none'} is not supported, only 13`);
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${websocketAccept(key)}\r\n\r\n`;
}

export interface WebsocketOptions {
  /** What is written holds Docker's multiplexed frames. */
  readonly framed: boolean;
  /** Before 1.28 the daemon sent text frames. */
  readonly text: boolean;
}

export class WebsocketStream extends Duplex {
  readonly #connection: Duplex;
  readonly #opcode: number;
  readonly #decoder: WebsocketDecoder;
  readonly #frames: FrameDecoder | null;
  #closing = false;

  constructor(connection: Duplex, options: WebsocketOptions) {
    super({ allowHalfOpen: true });
    this.#connection = connection;
    this.#opcode = options.text ? textOpcode : binaryOpcode;
    this.#decoder = new WebsocketDecoder({
      onData: (payload) => {
        if (!this.#closing && !this.push(payload)) connection.pause();
      },
      onControl: (opcode, payload) => this.#onControl(opcode, payload),
    });
    this.#frames = options.framed ? new FrameDecoder((_stream, payload) => this.#send(this.#opcode, payload)) : null;
    connection.on('data', (chunk: Buffer) => this.#onData(chunk));
    connection.once('end', () => this.destroy());
    connection.once('close', () => this.destroy());
    connection.on('error', () => this.destroy());
  }

  override _read(): void {
    this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    try {
      if (this.#frames === null) this.#send(this.#opcode, chunk);
      else this.#frames.push(chunk);
    } catch (error) {
      callback(error as Error);
      return;
    }
    if (this.#connection.writableNeedDrain) this.#connection.once('drain', callback);
    else callback();
  }

  /** The output is at its end: the client is told, and its answer waited for by whoever relays. */
  override _final(callback: () => void): void {
    this.#close(normalCloseCode);
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#connection.destroy();
    callback(error);
  }

  #onData(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk);
    } catch {
      this.#close(protocolErrorCode);
      this.#destroyWhenSent();
    }
  }

  #onControl(opcode: number, payload: Buffer): void {
    if (opcode === pingOpcode) this.#send(pongOpcode, payload);
    if (opcode !== closeOpcode) return;
    // A client that answers our own close has nothing more to hear.
    this.#close(normalCloseCode);
    this.#destroyWhenSent();
  }

  #destroyWhenSent(): void {
    if (this.#connection.writableFinished) this.destroy();
    else this.#connection.once('finish', () => this.destroy());
  }

  #send(opcode: number, payload: Buffer): void {
    if (!this.#closing && this.#connection.writable) this.#connection.write(encodeWebsocketFrame(opcode, payload));
  }

  #close(code: number): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#connection.end(encodeWebsocketClose(code));
  }
}
