/**
 * HTTP/1.1 responses, bytes in, events out. Pure: no socket, no stream, so that it can be fuzzed.
 *
 *   head ──▶ length(n) ──┐
 *     │ ├──▶ chunk-size ⇄ chunk-data ⇄ chunk-end ──▶ trailers ──┐
 *     │ ├──▶ until-eof ──┤                                      ▼
 *     │ └──▶ (no body) ──┴─────────────────────────────────▶  done
 *     └────▶ raw: the connection was upgraded; what is left belongs to the caller
 */
import { EngineError } from '../base/errors.ts';

export interface ResponseHead {
  readonly status: number;
  readonly statusText: string;
  /** Names in lower case; repeated fields are joined by `, `. */
  readonly headers: ReadonlyMap<string, string>;
}

export interface ResponseEvents {
  head(head: ResponseHead): void;
  data(chunk: Buffer): void;
  end(): void;
  /** The bytes after the head of an upgraded connection. */
  upgrade(rest: Buffer): void;
}

export interface ParserOptions {
  readonly requestMethod: string;
  /** True when the request asked for a raw stream: 101, or 200 with neither length nor chunks, then ends HTTP. */
  readonly expectUpgrade: boolean;
}

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_CHUNK_LINE_BYTES = 4096;
const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = Buffer.from('\r\n');
const EMPTY = Buffer.alloc(0);

type State = 'head' | 'length' | 'until-eof' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailers' | 'done' | 'raw';

export class ResponseParser {
  readonly #events: ResponseEvents;
  readonly #options: ParserOptions;
  #state: State = 'head';
  #remaining = 0;
  #held: Buffer = EMPTY;
  /** False when the connection cannot carry another request after this response. */
  keepAlive = true;

  constructor(options: ParserOptions, events: ResponseEvents) {
    this.#options = options;
    this.#events = events;
  }

  get state(): State {
    return this.#state;
  }

  feed(chunk: Buffer): void {
    let rest = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = EMPTY;
    while (rest.length > 0) {
      const left = this.#step(rest);
      if (left === null) {
        this.#held = rest;
        return;
      }
      rest = left;
    }
  }

  /** The peer closed its side. */
  finish(): void {
    if (this.#state === 'done' || this.#state === 'raw') return;
    if (this.#state === 'until-eof') {
      this.#end();
      return;
    }
    throw new EngineError('unavailable', 'the daemon closed the connection before its answer was complete');
  }

  /** Consumes what it can and gives back the rest; null: needs more bytes. */
  #step(bytes: Buffer): Buffer | null {
    switch (this.#state) {
      case 'head':
        return this.#readHead(bytes);
      case 'length':
      case 'chunk-data':
        return this.#readCounted(bytes);
      case 'until-eof':
        this.#events.data(bytes);
        return EMPTY;
      case 'chunk-size':
        return this.#readChunkSize(bytes);
      case 'chunk-end':
        return this.#readChunkEnd(bytes);
      case 'trailers':
        return this.#readTrailer(bytes);
      case 'raw':
        this.#events.upgrade(bytes);
        return EMPTY;
      case 'done':
        throw new EngineError('unavailable', 'the daemon sent bytes after the end of its answer');
    }
  }

  #readHead(bytes: Buffer): Buffer | null {
    const end = bytes.indexOf(HEAD_END);
    if (end === -1) {
      if (bytes.length > MAX_HEAD_BYTES) throw new EngineError('unavailable', 'the daemon sent an HTTP head that is too large');
      return null;
    }
    const head = parseHead(bytes.toString('latin1', 0, end));
    const rest = bytes.subarray(end + 4);
    if (head.status >= 100 && head.status < 200 && head.status !== 101) return rest;
    this.#enterBody(head);
    if (this.#state === 'raw') {
      if (rest.length > 0) this.#events.upgrade(rest);
      return EMPTY;
    }
    return rest;
  }

  #enterBody(head: ResponseHead): void {
    const length = head.headers.get('content-length');
    const chunked = (head.headers.get('transfer-encoding') ?? '').toLowerCase().includes('chunked');
    if ((head.headers.get('connection') ?? '').toLowerCase() === 'close') this.keepAlive = false;
    const bodyless = this.#options.requestMethod === 'HEAD' || head.status === 204 || head.status === 304;
    const endless = !bodyless && !chunked && length === undefined;
    if (head.status === 101 || (this.#options.expectUpgrade && head.status === 200 && endless)) this.#state = 'raw';
    else if (bodyless) this.#state = 'done';
    else if (chunked) this.#state = 'chunk-size';
    else if (endless) {
      this.keepAlive = false;
      this.#state = 'until-eof';
    } else {
      this.#remaining = parseLength(length ?? '');
      this.#state = this.#remaining === 0 ? 'done' : 'length';
    }
    const done = this.#state === 'done';
    this.#events.head(head);
    if (done) this.#events.end();
  }

  #readCounted(bytes: Buffer): Buffer {
    const take = Math.min(this.#remaining, bytes.length);
    this.#remaining -= take;
    this.#events.data(take === bytes.length ? bytes : bytes.subarray(0, take));
    if (this.#remaining === 0) {
      if (this.#state === 'chunk-data') this.#state = 'chunk-end';
      else this.#end();
    }
    return bytes.subarray(take);
  }

  #readChunkSize(bytes: Buffer): Buffer | null {
    const end = bytes.indexOf(LINE_END);
    if (end === -1) {
      if (bytes.length > MAX_CHUNK_LINE_BYTES) throw new EngineError('unavailable', 'the daemon sent a malformed chunk');
      return null;
    }
    const text = (bytes.toString('latin1', 0, end).split(';')[0] ?? '').trim();
    if (!/^[0-9a-fA-F]{1,13}$/.test(text)) throw new EngineError('unavailable', 'the daemon sent a malformed chunk size');
    this.#remaining = Number.parseInt(text, 16);
    this.#state = this.#remaining === 0 ? 'trailers' : 'chunk-data';
    return bytes.subarray(end + 2);
  }

  #readChunkEnd(bytes: Buffer): Buffer | null {
    if (bytes.length < 2) return null;
    if (bytes[0] !== 13 || bytes[1] !== 10) throw new EngineError('unavailable', 'the daemon sent a malformed chunk');
    this.#state = 'chunk-size';
    return bytes.subarray(2);
  }

  #readTrailer(bytes: Buffer): Buffer | null {
    const end = bytes.indexOf(LINE_END);
    if (end === -1) {
      if (bytes.length > MAX_HEAD_BYTES) throw new EngineError('unavailable', 'the daemon sent trailers that are too large');
      return null;
    }
    if (end === 0) this.#end();
    return bytes.subarray(end + 2);
  }

  #end(): void {
    this.#state = 'done';
    this.#events.end();
  }
}

function parseHead(text: string): ResponseHead {
  const lines = text.split('\r\n');
  const status = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(lines[0] ?? '');
  if (status === null) throw new EngineError('unavailable', 'the address answers, but not with HTTP: is it a Gantry or Docker socket?');
  const headers = new Map<string, string>();
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return { status: Number(status[1]), statusText: status[2] ?? '', headers };
}

function parseLength(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new EngineError('unavailable', `the daemon sent a malformed Content-Length: ${text}`);
  return Number(text);
}
