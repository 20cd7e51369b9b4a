/**
 * The HTTP server of the API: finds the route, checks what holds for every request (version, Origin, type of the body), and turns every error into
 * Docker's JSON. It owns the open requests and can end them.
 */
import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { EngineError, errorText, hasErrnoCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { formatApiVersion, newestApiMinor, parseApiVersion } from '../wire/api-version.ts';
import { errorBody, errorResponse } from './error-status.ts';
import { Exchange } from './exchange.ts';
import type { Upgrade } from './hijack.ts';
import { hasBody, requireJsonType } from './request-body.ts';
import { createRouteTable, type Route, type RouteMatch } from './route-table.ts';
import { createTransportServer, localTransport, refuseForeignHost, type Transport } from './transport.ts';

export interface ApiServerOptions {
  readonly routes: readonly Route[];
  readonly engineVersion: string;
  /** Which build the daemon is, for the command line to compare with its own; null from source. */
  readonly build?: string | null;
  readonly logger: Logger;
}

export interface ListenerOptions {
  /** Default: a local socket. */
  readonly transport?: Transport;
  /** Headers that every request is taken to have, unless it has them itself; names in small letters. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ApiServer {
  /** Not listening yet: the daemon decides where. One API may be served by several. */
  createListener(options?: ListenerOptions): Server;
  /** Resolves when requests that end by themselves have ended (at most `graceMs`); streams are ended at once. New requests get 503. */
  drain(graceMs: number): Promise<void>;
}

/** Go's limit; dockerode repeats a whole container configuration in the query. */
const maxHeaderSize = 1024 * 1024;
const lingerMs = 5000;

export function createApiServer(options: ApiServerOptions): ApiServer {
  const table = createRouteTable(options.routes);
  const open = new Set<Exchange>();
  let draining = false;

  async function serve(request: IncomingMessage, response: ServerResponse, upgrade: Upgrade | null, transport: Transport): Promise<void> {
    setCommonHeaders(response, options);
    let exchange: Exchange | null = null;
    try {
      if (draining) throw new EngineError('unavailable', 'the daemon is stopping');
      refuseForeignHost(request, transport);
      const target = readTarget(request);
      exchange = new Exchange({ request, response, upgrade, ...target, parameters: target.match.parameters });
      open.add(exchange);
      await target.match.route.handle(exchange);
    } catch (error) {
      answerError(error, request, response, exchange, options.logger);
    } finally {
      if (exchange !== null) open.delete(exchange);
    }
  }

  function readTarget(request: IncomingMessage) {
    const { path, query, apiMinor } = splitTarget(request.url ?? '/');
    refuseBrowsers(request);
    const match = table.match(request.method ?? 'GET', path);
    if (match === null) throw new EngineError('not-found', 'page not found');
    const minor = apiMinor();
    checkBodyType(request, match);
    return { apiMinor: minor, query, match };
  }

  return {
    createListener({ headers = {}, transport = localTransport } = {}) {
      const http = { maxHeaderSize, shouldUpgradeCallback: (request: IncomingMessage) => takesUpgrade(table, request) };
      const server = createTransportServer(transport, http, options.logger);
      // Streams live for days, and an idle keep-alive connection costs little: clients that reuse one must not find it closed.
      server.requestTimeout = 0;
      server.headersTimeout = 0;
      server.keepAliveTimeout = 0;
      server.timeout = 0;
      const addHeaders = (request: IncomingMessage): void => {
        for (const [name, value] of Object.entries(headers)) request.headers[name] ??= value;
      };
      server.on('request', (request, response) => {
        addHeaders(request);
        void serve(request, response, null, transport);
      });
      server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
        addHeaders(request);
        const response = new ServerResponse(request);
        response.shouldKeepAlive = false;
        response.assignSocket(stream as Socket);
        response.once('finish', () => stream.end());
        // Until it is hijacked nobody else listens; that the client left is seen by `close`.
        stream.on('error', () => stream.destroy());
        void serve(request, response, { stream, head }, transport);
      });
      server.on('clientError', (error, socket) => answerBrokenRequest(error, socket as Socket));
      return server;
    },
    async drain(graceMs) {
      draining = true;
      const deadline = Date.now() + graceMs;
      for (const exchange of open) exchange.abort(new EngineError('unavailable', 'the daemon is stopping'));
      while (open.size > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    },
  };
}

function splitTarget(url: string) {
  const question = url.indexOf('?');
  const whole = question === -1 ? url : url.slice(0, question);
  const query = new URLSearchParams(question === -1 ? '' : url.slice(question + 1));
  const prefix = /^\/v([0-9.]+)(\/.*)$/.exec(whole);
  return {
    path: prefix?.[2] ?? whole,
    query,
    // Judged after the route was found, as Docker does: an unknown page is an unknown page in every version.
    apiMinor: () => (prefix?.[1] === undefined ? newestApiMinor : parseApiVersion(prefix[1])),
  };
}

/** Nothing but a web page sends `Origin`, and no web page has business here. */
function refuseBrowsers(request: IncomingMessage): void {
  if (request.headers.origin !== undefined) {
    throw new EngineError('forbidden', 'requests from web pages (with an Origin header) are refused');
  }
}

function checkBodyType(request: IncomingMessage, { route }: RouteMatch): void {
  if (route.body === 'json' && hasBody(request)) requireJsonType(request);
}

/** Only attach and exec leave HTTP; an upgrade asked of anything else (h2c on /grpc) is answered as a plain request. */
function takesUpgrade(table: ReturnType<typeof createRouteTable>, request: IncomingMessage): boolean {
  try {
    return table.match(request.method ?? 'GET', splitTarget(request.url ?? '/').path)?.route.hijack === true;
  } catch {
    return false;
  }
}

function setCommonHeaders(response: ServerResponse, { engineVersion, build }: ApiServerOptions): void {
  response.setHeader('Api-Version', formatApiVersion(newestApiMinor));
  response.setHeader('Docker-Experimental', 'false');
  response.setHeader('Ostype', 'linux');
  response.setHeader('Server', `Docker/${engineVersion} (linux)`);
  if (typeof build === 'string') response.setHeader('Gantry-Build', build);
}

function answerError(thrown: unknown, request: IncomingMessage, response: ServerResponse, exchange: Exchange | null, logger: Logger): void {
  const { status, message, worthLogging } = errorResponse(thrown);
  const clientLeft = response.socket === null || response.socket.destroyed || hasErrnoCode(thrown, 'ECONNRESET', 'EPIPE');
  if (worthLogging && !clientLeft) {
    logger.error(
      { method: request.method, url: request.url?.split('?', 1)[0], error: errorText(thrown), stack: stackOf(thrown) },
      'request failed',
    );
  }
  if (exchange?.hijacked === true) request.socket.destroy();
  if (response.socket === null || response.socket.destroyed) return;
  // The status is gone already: a cut connection is the only way left to tell that the answer is not whole.
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = request.method === 'HEAD' ? '' : errorBody(message);
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
  if (body !== '') response.write(body);
  endAfterRequest(request, response);
}

/** A client that is still sending would see its connection break instead of the answer: the rest of its body is read and dropped, for a while. */
function endAfterRequest(request: IncomingMessage, response: ServerResponse): void {
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, lingerMs);
  if (request.complete || request.destroyed) {
    end();
    return;
  }
  request.once('end', end);
  request.once('close', end);
  request.resume();
}

function stackOf(thrown: unknown): string | undefined {
  return thrown instanceof EngineError || !(thrown instanceof Error) ? undefined : thrown.stack;
}

function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET' || error.code === 'EPIPE') {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
  const body = errorBody(`malformed HTTP request: ${error.message}`);
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
