/**
 * One HTTP request on one connection: kept alive per registry, no redirects, no credentials of its own.
 *
 * `node:http` rather than `fetch`: the address that is really connected to is checked in the connection's own name lookup (so a name that changes its answer between a
 * check and the use of it helps nobody), bodies are handed on as they come off the socket, and a request knows whether its connection was an old one that died.
 *
 * Every ending of an exchange is a `RegistryError` or the signal's reason. An answer's body must be read to its end or destroyed.
 */
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { errorText } from '../base/errors.ts';
import { type AddressRule, isAllowed, literalAddress } from './address-rule.ts';
import { AddressRefused, connectionFailure } from './connection-failure.ts';
import { RegistryError } from './registry-error.ts';
import { takeBody } from './socket-tap.ts';

export interface HttpRequest {
  readonly method: string;
  /** Its user name and password are not sent. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | StreamBody;
  readonly signal?: AbortSignal | undefined;
}

export interface StreamBody {
  readonly sizeBytes: number;
  open(): AsyncIterable<Uint8Array>;
  onSent?(bytes: number): void;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly url: URL;
  readonly method: string;
  readonly body: IncomingMessage;
  /** Address of the other end; null behind a proxy. */
  readonly address: string | null;
}

/** How to get to a host: its agent knows certificates and proxy. */
export interface Route {
  readonly agent: Agent;
  readonly addresses: AddressRule;
  /** `http://proxy:3128/`, where plain requests carry the whole URL. */
  readonly plainProxy: { readonly url: URL; readonly authorization: string | null } | null;
  readonly isProxied: boolean;
  readonly stallMs: number;
}

export async function exchange(request: HttpRequest, route: Route): Promise<HttpAnswer> {
  for (;;) {
    request.signal?.throwIfAborted();
    const attempt = start(request, route);
    try {
      return await attempt.answer;
    } catch (thrown) {
      if (request.signal?.aborted) throw request.signal.reason;
      // A kept connection that the other end was closing: nothing was read, so nothing was done that can't be done again.
      if (attempt.outgoing.reusedSocket && isReset(thrown) && !isStream(request.body)) continue;
      if (thrown instanceof RegistryError) throw thrown;
      if (thrown instanceof SourceFailed) throw thrown.cause;
      throw connectionFailure(request.method, request.url, thrown);
    }
  }
}

function start(request: HttpRequest, route: Route): { outgoing: ClientRequest; answer: Promise<HttpAnswer> } {
  const { url, method } = request;
  const literal = literalAddress(url.hostname);
  // A proxy looks names up itself; addresses are refused before it is asked.
  if (literal && !isAllowed(route.addresses, literal)) throw connectionFailure(method, url, new AddressRefused(literal));
  const outgoing = (url.protocol === 'https:' ? httpsRequest : httpRequest)(requestOptions(request, route));
  const late = startClock(outgoing, route.stallMs);
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  let isAnswered = false;
  outgoing.on('error', reject);
  outgoing.on('response', (body) => {
    isAnswered = true;
    late.stop();
    // Answered in the middle of the request: the connection is good for nothing else.
    body.once('end', () => outgoing.writableFinished || outgoing.destroy());
    const address = route.isProxied ? null : (body.socket.remoteAddress ?? null);
    resolve({ status: body.statusCode ?? 0, headers: body.headers, url, method, body, address });
  });
  outgoing.on('close', () => late.stop());
  void sendBody(outgoing, request, { touch: late.touch, isAnswered: () => isAnswered, onFailure: reject });
  return { outgoing, answer: promise };
}

function requestOptions({ method, url, headers, body, signal }: HttpRequest, route: Route): RequestOptions {
  const size = body === undefined ? null : isStream(body) ? body.sizeBytes : body.length;
  const target = url.pathname + url.search;
  const options = {
    method,
    agent: route.agent,
    headers: { ...headers, ...(size === null ? {} : { 'content-length': String(size) }) },
    ...(signal ? { signal } : {}),
  };
  if (route.plainProxy && url.protocol === 'http:') {
    const { url: proxy, authorization } = route.plainProxy;
    const proxyHeaders = authorization === null ? {} : { 'proxy-authorization': authorization };
    return {
      ...options,
      host: bareHost(proxy),
      port: proxy.port || 80,
      path: `http://${url.host}${target}`,
      headers: { ...options.headers, host: url.host, ...proxyHeaders },
    };
  }
  const host = bareHost(url);
  return { ...options, host, port: url.port || (url.protocol === 'https:' ? 443 : 80), path: target };
}

/** A body that ends early leaves no half request behind that could pass for a whole one: the connection goes. */
async function sendBody(
  outgoing: ClientRequest,
  { body }: HttpRequest,
  { touch, isAnswered, onFailure }: { touch(): void; isAnswered(): boolean; onFailure(thrown: unknown): void },
): Promise<void> {
  if (body === undefined) return void outgoing.end();
  if (!isStream(body)) return void outgoing.end(body);
  try {
    for await (const chunk of body.open()) {
      // An answer before the end of the body is a refusal: nobody reads the rest.
      if (outgoing.destroyed || isAnswered()) return;
      if (!outgoing.write(chunk)) await room(outgoing);
      touch();
      body.onSent?.(chunk.length);
    }
    outgoing.end();
  } catch (cause) {
    // Told before the connection goes, whose own error would be the answer else.
    onFailure(new SourceFailed(cause));
    outgoing.destroy();
  }
}

/** Where the body comes from failed, not the connection. */
class SourceFailed extends Error {
  constructor(cause: unknown) {
    super('the source of the body failed', { cause });
  }
}

/** Resolves when more may be written, or nothing more will be: never rejects. */
function room(outgoing: ClientRequest): Promise<void> {
  const events = ['drain', 'close', 'error', 'response'];
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) outgoing.off(event, done);
      resolve();
    };
    for (const event of events) outgoing.on(event, done);
  });
}

/** Fails the request when neither the connection moves nor an answer comes for so long. */
function startClock(outgoing: ClientRequest, stallMs: number): { stop(): void; touch(): void } {
  const timer = setTimeout(() => outgoing.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' })), stallMs);
  return { stop: () => clearTimeout(timer), touch: () => timer.refresh() };
}

/** For a whole small body. */
const wholeMs = 5 * 60_000;

/** Reads a whole small body; more than `limitBytes` is an error that names `what`. */
export async function readWhole(answer: HttpAnswer, limitBytes: number, stallMs: number, what: string): Promise<Buffer> {
  const tooLarge = () =>
    new RegistryError('invalid', `${what} from ${answer.url.host} is larger than ${limitBytes} bytes`, {
      host: answer.url.host,
      status: answer.status,
      registryCode: null,
      retryable: false,
    });
  if (Number(answer.headers['content-length'] ?? 0) > limitBytes) {
    answer.body.destroy();
    throw tooLarge();
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  // A byte a minute is no stall, and never ends.
  const tooSlow = Object.assign(new Error(`it takes longer than ${wholeMs / 60_000} minutes`), { code: 'ETIMEDOUT' });
  const late = setTimeout(() => answer.body.destroy(tooSlow), wholeMs);
  try {
    for await (const chunk of bodyChunks(answer, stallMs)) {
      size += chunk.length;
      // Leaving the loop destroys the connection: whoever sends a gigabyte is not listened to.
      if (size > limitBytes) throw tooLarge();
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(late);
  }
  return Buffer.concat(chunks);
}

/** The bytes as they come. Ends with an error when the connection is cut early or nothing comes for `stallMs` while somebody waits. */
export async function* bodyChunks(answer: HttpAnswer, stallMs: number): AsyncGenerator<Uint8Array, void, undefined> {
  const { body } = answer;
  let isWaiting = true;
  const timer = setTimeout(() => {
    // Whoever reads is busy: that is no stall of the registry's.
    if (!isWaiting) timer.refresh();
    else body.destroy(Object.assign(new Error(`nothing came for ${Math.ceil(stallMs / 1000)} seconds`), { code: 'ETIMEDOUT' }));
  }, stallMs);
  try {
    const length = answer.headers['transfer-encoding'] === undefined ? Number(answer.headers['content-length'] ?? 0) : 0;
    for await (const chunk of takeBody(body, length) ?? (body as AsyncIterable<Uint8Array>)) {
      isWaiting = false;
      yield chunk;
      isWaiting = true;
      timer.refresh();
    }
  } catch (cause) {
    const host = answer.url.host;
    const failure = { host, status: answer.status, registryCode: null, retryable: true };
    const reason = isReset(cause) ? 'the connection was cut' : errorText(cause);
    throw new RegistryError('unavailable', `${host}: the answer did not come whole: ${reason}`, failure, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** Reads on to the end when that is near, so that the connection can be used again. */
export function discard(answer: HttpAnswer): void {
  const { body } = answer;
  body.on('error', () => {});
  const isSmall = Number(answer.headers['content-length'] ?? 0) <= 64 * 1024;
  if (isSmall) body.resume();
  else body.destroy();
}

function isStream(body: HttpRequest['body']): body is StreamBody {
  return body !== undefined && !(body instanceof Uint8Array);
}

function bareHost(url: URL): string {
  return literalAddress(url.hostname) ?? url.hostname;
}

function isReset(thrown: unknown): boolean {
  const code = (thrown as NodeJS.ErrnoException | null)?.code;
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}
