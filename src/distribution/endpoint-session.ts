/**
 * Requests to one endpoint in the name of one caller: scheme, authorization and redirects.
 *
 * The `Authorization` header goes to the endpoint's own origin and nowhere else: a redirect to another origin is followed without it, and a 401 from there is an
 * answer like any other. Answers are handed back whatever their status (but for a 401 of the endpoint itself that stays one); callers say which they expect.
 */
import type { Logger } from '../base/log.ts';
import { answerFailure } from './answer-failure.ts';
import { type Authorizer, createAuthorizer, type TokenStore } from './authorizer.ts';
import { isNobodyThere, isTlsRefused } from './connection-failure.ts';
import { type Endpoint, isInsecure } from './endpoints.ts';
import { discard, exchange, type HttpAnswer, type HttpRequest } from './http-transport.ts';
import { type Hop, isRedirect, nextHop } from './redirect.ts';
import type { RegistryCredentials, RegistrySettings } from './registry-client.ts';
import type { Routes } from './routes.ts';

export interface ApiRequest {
  readonly method: string;
  /** `/v2/…`, put behind the endpoint's prefix; or where a Location of the endpoint's pointed. */
  readonly path: string | Hop;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpRequest['body'];
  /** Scopes of a bearer token that the request needs. */
  readonly scopes: readonly string[];
  readonly signal?: AbortSignal | undefined;
  /** A 401 in spite of all is handed back, too. */
  readonly isRefusalAnswer?: boolean;
}

export interface EndpointSession {
  readonly endpoint: Endpoint;
  readonly settings: RegistrySettings;
  send(request: ApiRequest): Promise<HttpAnswer>;
  /** `send`, and every status that is not expected is thrown in the registry's words. */
  expect(request: ApiRequest, ...statuses: readonly number[]): Promise<HttpAnswer>;
  failure(answer: HttpAnswer): Promise<Error>;
  readonly authorizer: Authorizer;
}

/** What all sessions of a client share. */
export interface SessionContext {
  readonly settings: RegistrySettings;
  readonly routes: Routes;
  readonly tokens: TokenStore;
  /** Scheme that insecure hosts were found to speak. */
  readonly schemes: Map<string, { readonly at: number; readonly found: Promise<'https:' | 'http:'> }>;
  readonly userAgent: string;
  readonly logger: Logger;
}

export function createEndpointSession(
  context: SessionContext,
  endpoint: Endpoint,
  credentials: RegistryCredentials | null,
): EndpointSession {
  const { settings, routes } = context;
  const { host } = endpoint;
  const isHostInsecure = (name: string): boolean => isInsecure(settings.insecure, name);
  const authorizer = createAuthorizer({
    host,
    domain: endpoint.registryOf,
    isInsecure: !endpoint.isVerified,
    credentials,
    allowedRealms: settings.allowedRealms,
    isHostInsecure,
    routes,
    store: context.tokens,
    stallMs: settings.stallMs,
    userAgent: context.userAgent,
  });

  const send = async (request: ApiRequest): Promise<HttpAnswer> => {
    const origin = await originOf(context, endpoint, request.signal);
    const hop = firstHop(request, origin, endpoint.pathPrefix);
    const header = hop.url.origin === origin ? await authorizer.header(request.scopes, request.signal) : null;
    const answer = await walk(request, hop, origin, header);
    if (answer.status !== 401 || answer.url.origin !== origin) return answer;
    const renewed = await authorizer.renew(answer, request.scopes, header, request.signal);
    discard(answer);
    const second = await walk(request, hop, origin, renewed);
    if (second.status === 401 && second.url.origin === origin && !request.isRefusalAnswer)
      throw authorizer.explain(await answerFailure(second, authorizer.secrets));
    return second;
  };

  const walk = async (request: ApiRequest, first: Hop, origin: string, authorization: string | null): Promise<HttpAnswer> => {
    let hop = first;
    for (let hops = 0; ; hops++) {
      const isOwn = hop.url.origin === origin;
      const isVerified = isOwn ? endpoint.isVerified : !isHostInsecure(hop.url.host);
      const headers = {
        'user-agent': context.userAgent,
        // A registry's bytes are what was hashed.
        'accept-encoding': 'identity',
        ...request.headers,
        ...(isOwn && authorization !== null ? { authorization } : {}),
      };
      const { method, body, signal } = request;
      const outgoing = { method, url: hop.url, headers, signal, ...(body === undefined ? {} : { body }) };
      const answer = await exchange(outgoing, await routes.to(hop.url, isOwn ? 'any' : hop.addresses, isVerified));
      if (!isFollowed(method, answer.status)) return answer;
      hop = nextHop(answer, hops);
      discard(answer);
    }
  };

  const failure = (answer: HttpAnswer): Promise<Error> => answerFailure(answer, authorizer.secrets);
  return {
    endpoint,
    settings,
    authorizer,
    send,
    failure,
    async expect(request, ...statuses) {
      const answer = await send(request);
      if (statuses.includes(answer.status)) return answer;
      throw await failure(answer);
    },
  };
}

/** Only what can be asked again as it is. */
export function isFollowed(method: string, status: number): boolean {
  return isRedirect(status) && (method === 'GET' || method === 'HEAD' || status === 307 || status === 308);
}

function firstHop({ path, query }: ApiRequest, origin: string, prefix: string): Hop {
  const hop = typeof path === 'string' ? { url: new URL(origin + withPrefix(path, prefix)), addresses: 'any' as const } : path;
  const url = new URL(hop.url);
  for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
  return { ...hop, url };
}

/** `/v2/cache/library/busybox/…` */
function withPrefix(path: string, prefix: string): string {
  return path.startsWith('/v2/') ? `/v2${prefix}${path.slice('/v2'.length)}` : path;
}

/** `https://host`. Of an insecure host, whichever it answers, TLS first. */
async function originOf(context: SessionContext, { host, scheme, isVerified }: Endpoint, signal: AbortSignal | undefined): Promise<string> {
  if (scheme !== 'either') return new URL(`${scheme}://${host}`).origin;
  signal?.throwIfAborted();
  return new URL(`${await schemeOf(context, host, isVerified)}//${host}`).origin;
}

function schemeOf(context: SessionContext, host: string, isVerified: boolean): Promise<'https:' | 'http:'> {
  const known = context.schemes.get(host);
  if (known && performance.now() - known.at < schemeFreshMs) return known.found;
  const found = probeScheme(context, host, isVerified);
  context.schemes.set(host, { at: performance.now(), found });
  // A failed probe says nothing about the next one.
  found.catch(() => context.schemes.delete(host));
  return found;
}

/** A registry may get its certificate while we run. */
const schemeFreshMs = 5 * 60_000;

/** A plain server may wait for the rest of what it takes for a request. */
const probeMs = 5000;

async function probeScheme({ routes, userAgent }: SessionContext, host: string, isVerified: boolean): Promise<'https:' | 'http:'> {
  const ask = async (protocol: 'https:' | 'http:'): Promise<number> => {
    const url = new URL(`${protocol}//${host}/v2/`);
    const route = await routes.to(url, 'any', isVerified);
    const stallMs = Math.min(route.stallMs, probeMs);
    const answer = await exchange({ method: 'GET', url, headers: { 'user-agent': userAgent } }, { ...route, stallMs });
    discard(answer);
    return answer.status;
  };
  try {
    await ask('https:');
    return 'https:';
  } catch (thrown) {
    // Where nobody is, Docker's words are those of the second attempt.
    if (!isTlsRefused(thrown) && !isNobodyThere(thrown)) throw thrown;
    // What Go's TLS servers say to plain requests: then it was TLS that failed.
    if ((await ask('http:')) === 400) throw thrown;
    return 'http:';
  }
}
