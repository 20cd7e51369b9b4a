/**
 * One request and its answer, as route handlers see it: path parameters, query, body, and the few ways to answer.
 * It is the same for a plain request and for one with `Connection: Upgrade`; only `hijack` differs (see hijack.ts).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EngineError, invalid } from '../base/errors.ts';
import { parseDockerBoolean } from '../wire/docker-boolean.ts';
import { type Filters, parseFilters } from '../wire/filters.ts';
import { type Hijacked, leaveHttp, rawStreamAnswer, type Upgrade } from './hijack.ts';
import { readBytes, readJson } from './request-body.ts';

export interface ExchangeParts {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Minor number of the API version that the client speaks. */
  readonly apiMinor: number;
  readonly query: URLSearchParams;
  readonly parameters: Readonly<Record<string, string>>;
  /** The request asked for an upgrade and the route takes it: the answer is 101. */
  readonly upgrade: Upgrade | null;
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly apiMinor: number;
  readonly query: URLSearchParams;
  readonly #parameters: Readonly<Record<string, string>>;
  readonly #upgrade: Upgrade | null;
  readonly #gone = new AbortController();
  #hijacked = false;

  constructor(parts: ExchangeParts) {
    this.request = parts.request;
    this.response = parts.response;
    this.apiMinor = parts.apiMinor;
    this.query = parts.query;
    this.#parameters = parts.parameters;
    this.#upgrade = parts.upgrade;
    this.response.once('close', () => {
      if (!this.response.writableFinished && !this.#hijacked) this.#gone.abort(clientGone());
    });
  }

  /** Aborted when the client leaves before it has its answer, or the daemon stops. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  get hijacked(): boolean {
    return this.#hijacked;
  }

  /** Ends a stream that would go on for ever: the daemon stops. */
  abort(reason: Error): void {
    this.#gone.abort(reason);
  }

  parameter(name: string): string {
    const value = this.#parameters[name];
    if (value === undefined) throw new EngineError('system', `the route has no parameter ${name}`);
    return value;
  }

  text(name: string): string | null {
    return this.query.get(name);
  }

  flag(name: string): boolean {
    return parseDockerBoolean(this.query.get(name));
  }

  /** A decimal integer; absent and empty are null. */
  integer(name: string): number | null {
    const text = this.query.get(name);
    if (text === null || text === '') return null;
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) {
      throw invalid(`invalid value for "${name}": ${JSON.stringify(text)} is not a whole number`);
    }
    return value;
  }

  filters(): Filters {
    return parseFilters(this.query.get('filters'));
  }

  /** Query parameters of Docker that are not built: refused by name unless empty or false. */
  refuse(names: readonly string[], why: string): void {
    for (const name of names) {
      if (parseDockerBoolean(this.query.get(name)))
        throw new EngineError('not-implemented', `the parameter "${name}" is not supported yet: ${why}`);
    }
  }

  json(): Promise<unknown> {
    return readJson(this.request);
  }

  bytes(limitBytes: number): Promise<Buffer> {
    return readBytes(this.request, limitBytes);
  }

  sendJson(status: number, value: unknown): void {
    const body = `${JSON.stringify(value)}\n`;
    this.response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    this.response.end(this.request.method === 'HEAD' ? undefined : body);
  }

  sendEmpty(status: number): void {
    this.response.writeHead(status, status === 204 || status === 304 ? {} : { 'Content-Length': 0 });
    this.response.end();
  }

  /** Status line and headers leave at once; the body follows. */
  startStream(status: number, contentType: string | null): void {
    this.response.writeHead(status, contentType === null ? {} : { 'Content-Type': contentType });
    this.response.flushHeaders();
  }

  /** One JSON text a line. False: the client reads too slowly (see `events`). */
  writeLine(value: unknown): boolean {
    return this.response.write(`${JSON.stringify(value)}\n`);
  }

  /** The body from a stream; resolves when it is sent, rejects when its source fails. A client that leaves is no error. */
  async sendStream(source: Readable): Promise<void> {
    try {
      await pipeline(source, this.response);
    } catch (error) {
      if (!this.signal.aborted && !isEarlyClose(error)) throw error;
    }
  }

  /** The request's body must have been read to its end before. */
  hijack(contentType: string): Hijacked {
    return this.switchTo(rawStreamAnswer(contentType));
  }

  /** As `hijack`, with another answer than Docker's streams have. */
  switchTo(answer: (upgraded: boolean) => string): Hijacked {
    const hijacked = leaveHttp(this.request, this.response, { answer, upgrade: this.#upgrade });
    this.#hijacked = true;
    this.#gone.signal.addEventListener('abort', () => hijacked.stream.destroy(), { once: true });
    return hijacked;
  }
}

function clientGone(): EngineError {
  return new EngineError('unavailable', 'the client closed the connection before it had its answer');
}

function isEarlyClose(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error.code === 'EPIPE');
}
