/**
 * Requests to the daemon: address, version prefix, connection pool, errors. What each resource offers is in the files beside this one;
 * they all go through `request`, `json` and `hijack` here. Usable alone: it imports nothing but `base` and Node's own modules.
 */
import type { Socket } from 'node:net';
import { EngineError, type ErrorCode } from '../base/errors.ts';
import { type DaemonAddress, DEFAULT_ADDRESS, formatAddress, parseAddress } from './address.ts';
import { Connection, ConnectionLostError, type RequestBody, type WireRequest, type WireResponse } from './connection.ts';

export const API_VERSION = '1.51';

export interface ClientOptions {
  readonly address?: DaemonAddress | string;
  readonly userAgent?: string;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as `/v<version>` before every path. */
  readonly apiVersion?: string;
}

export type QueryValue = string | number | boolean | readonly string[] | undefined | null;

export interface RequestOptions {
  /** `true` is sent as `1`; false, empty, null and undefined are left out; lists repeat the name. */
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as `application/json`. */
  readonly json?: unknown;
  /** Sent as it is; a content type belongs into `headers`. */
  readonly body?: RequestBody;
  readonly signal?: AbortSignal;
}

/** An error that the daemon answered, in its own words. */
export class ApiError extends EngineError {
  override readonly name = 'ApiError';
  readonly status: number;
  constructor(status: number, message: string, details: Readonly<Record<string, unknown>>) {
    super(errorCodeOf(status), message, { details });
    this.status = status;
  }
}

const MAX_ERROR_BODY_BYTES = 1024 * 1024;
const MAX_JSON_BODY_BYTES = 512 * 1024 * 1024;

export class ApiClient {
  readonly address: DaemonAddress;
  readonly #prefix: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #idle: Connection[] = [];
  readonly #busy = new Set<Connection>();
  /** The build that the daemon named in its answers (`Gantry-Build`), null until one did. */
  daemonBuild: string | null = null;

  constructor(options: ClientOptions = {}) {
    const address = options.address ?? DEFAULT_ADDRESS;
    this.address = typeof address === 'string' ? parseAddress(address) : address;
    this.#prefix = `/v${options.apiVersion ?? API_VERSION}`;
    this.#headers = { ...options.headers, 'User-Agent': options.userAgent ?? 'gantry' };
  }

  /** Any status of 400 or more is thrown as `ApiError`. The body must be read or destroyed. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<WireResponse> {
    return this.#checked(method, path, await this.#send(this.#build(method, path, options, null), options.signal));
  }

  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const text = await this.text(method, path, options);
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      throw new EngineError('unavailable', `the daemon's answer to ${method} ${path} is not JSON`, { cause });
    }
  }

  async text(method: string, path: string, options: RequestOptions = {}): Promise<string> {
    return (await readAll((await this.request(method, path, options)).body, MAX_JSON_BODY_BYTES)).toString('utf8');
  }

  /** For calls whose answer has no body worth reading; gives the status (304 means: nothing to do). */
  async call(method: string, path: string, options: RequestOptions = {}): Promise<number> {
    const response = await this.request(method, path, options);
    await readAll(response.body, MAX_JSON_BODY_BYTES);
    return response.status;
  }

  /** Takes the connection over as a raw stream in both directions. `contentType` tells whether it carries frames. `protocol`: Docker's (`tcp`), unless it is another one. */
  async hijack(
    path: string,
    options: RequestOptions & { readonly protocol?: string } = {},
  ): Promise<{ readonly stream: Socket; readonly contentType: string }> {
    const request = this.#build('POST', path, options, options.protocol ?? 'tcp');
    const response = await this.#checked('POST', path, await this.#send(request, options.signal));
    if (response.stream === null) {
      response.body.destroy();
      throw new EngineError('unavailable', `the daemon did not turn POST ${path} into a stream`);
    }
    return { stream: response.stream, contentType: response.headers.get('content-type') ?? '' };
  }

  /** Ends every connection, also those of unfinished requests. */
  close(): void {
    for (const connection of [...this.#idle, ...this.#busy]) connection.close();
    this.#idle.length = 0;
    this.#busy.clear();
  }

  #build(method: string, path: string, options: RequestOptions, upgrade: string | null): WireRequest {
    const headers: Record<string, string> = { ...this.#headers };
    let body: RequestBody | null = options.body ?? null;
    if (options.json !== undefined) {
      headers['Content-Type'] = 'application/json';
      body = Buffer.from(`${JSON.stringify(options.json)}\n`);
    }
    return {
      method,
      target: this.#prefix + path + encodeQuery(options.query ?? {}),
      headers: { ...headers, ...options.headers },
      body,
      upgrade,
    };
  }

  /** A reused connection may have been closed by the daemon in the meantime: such a request is sent once more on a fresh one. */
  async #send(request: WireRequest, signal: AbortSignal | undefined): Promise<WireResponse> {
    const replayable = request.body === null || request.body instanceof Uint8Array;
    for (;;) {
      const connection = this.#takeIdle() ?? (await Connection.connect(this.address, signal));
      this.#busy.add(connection);
      try {
        const response = await connection.exchange(request, () => this.#giveBack(connection), signal);
        this.daemonBuild ??= response.headers.get('gantry-build') ?? null;
        return response;
      } catch (error) {
        this.#busy.delete(connection);
        if (!(error instanceof ConnectionLostError) || connection.exchanges === 0 || !replayable)
          throw this.#withTlsHint(error, connection);
      }
    }
  }

  /** A daemon that wants TLS closes a plain connection without a word of HTTP. */
  #withTlsHint(error: unknown, connection: Connection): unknown {
    const isPlain = this.address.kind === 'tcp' && this.address.tls === null && connection.exchanges === 0;
    if (!isPlain || !(error instanceof EngineError) || error instanceof ApiError) return error;
    return new EngineError(error.code, `${error.message}. Does it want TLS? Then give --tlsverify`, { cause: error });
  }

  #takeIdle(): Connection | null {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.usable) return connection;
      connection.close();
    }
    return null;
  }

  #giveBack(connection: Connection): void {
    this.#busy.delete(connection);
    connection.idle();
    this.#idle.push(connection);
  }

  async #checked(method: string, path: string, response: WireResponse): Promise<WireResponse> {
    if (response.status < 400) return response;
    const body = await readAll(response.body, MAX_ERROR_BODY_BYTES);
    throw new ApiError(response.status, errorMessage(body.toString('utf8'), response, method), {
      status: response.status,
      request: `${method} ${path}`,
      address: formatAddress(this.address),
    });
  }
}

/** Docker's error shape is `{"message": …}`; a proxy in between may answer text, HEAD answers nothing. */
function errorMessage(body: string, response: WireResponse, method: string): string {
  if ((response.headers.get('content-type') ?? '').startsWith('application/json')) {
    try {
      const parsed: unknown = JSON.parse(body);
      if (typeof parsed === 'object' && parsed !== null && 'message' in parsed && typeof parsed.message === 'string') return parsed.message;
    } catch {
      // Told as text below.
    }
  }
  const text = body.trim();
  return text !== '' ? text : `${response.status} ${response.statusText} (${method})`;
}

function errorCodeOf(status: number): ErrorCode {
  const codes: Record<number, ErrorCode> = {
    400: 'invalid',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'not-found',
    409: 'conflict',
    501: 'not-implemented',
    503: 'unavailable',
  };
  return codes[status] ?? 'system';
}

async function readAll(stream: AsyncIterable<Buffer>, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > limitBytes) throw new EngineError('unavailable', `the daemon's answer is larger than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

/** One segment of a path: image names keep their slashes and colons, as Docker's CLI sends them. */
export function pathName(name: string): string {
  if (name === '') throw new EngineError('invalid', 'invalid name or ID: value is empty');
  return encodeURIComponent(name).replaceAll('%2F', '/').replaceAll('%3A', ':').replaceAll('%40', '@');
}

function encodeQuery(query: Readonly<Record<string, QueryValue>>): string {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === false || value === '') continue;
    const values = Array.isArray(value) ? (value as readonly string[]) : [value === true ? '1' : String(value)];
    for (const each of values) pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(each)}`);
  }
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}
