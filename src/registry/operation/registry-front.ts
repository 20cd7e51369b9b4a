/**
 * The registry's address: what is served there, and what every request passes.
 *
 *     /v2/…      the registry         /token    tokens               /healthz   could it take a push now
 *     /metrics   for Prometheus       the rest  the web page
 *
 * There are no CORS headers anywhere: a page of somebody else's reads nothing here.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { RegistryAccess } from '../access/registry-access.ts';
import { TokenBuckets } from '../access/token-buckets.ts';
import { answerTokenRequest } from '../access/token-endpoint.ts';
import type { AccessControl, AccessDecision, AccessRequest, AccessScope } from '../access.ts';
import type { RateLimit } from '../configuration/registry-configuration.ts';
import { refusalOf } from '../http/refuse.ts';
import { type Admission, createRegistryHandler, type RegistryHandler } from '../http/registry-handler.ts';
import type { RegistryPage } from '../page/registry-page.ts';
import type { Registry, RegistryEvent } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import type { AuditLog } from './audit-log.ts';
import { clientAddress, clientOrigin, limitKey } from './client-address.ts';
import type { HealthChecks } from './health.ts';
import type { RegistryMetrics } from './registry-metrics.ts';
import { currentTurn, inTurn, type RequestTurn } from './request-turn.ts';

/** Asked at each request: a reload changes it. */
export interface FrontSettings {
  readonly trustedProxies: readonly string[];
  readonly perAddress: RateLimit | null;
  readonly maxConcurrentUploads: number | null;
  /** Why nothing can be changed; null: it can. */
  readonly readOnly: string | null;
  /** `elsewhere`: on an address of its own. */
  readonly metrics: 'anybody' | 'users' | 'elsewhere';
}

export interface RegistryFrontParts {
  readonly registry: Registry;
  readonly access: RegistryAccess;
  readonly page: (access: AccessControl) => RegistryPage;
  readonly metrics: RegistryMetrics;
  readonly metricsText: () => string;
  readonly health: HealthChecks;
  readonly audit: () => AuditLog | null;
  readonly logger: Logger;
  readonly settings: () => FrontSettings;
}

const uploadMethods: ReadonlySet<string> = new Set(['POST', 'PATCH', 'PUT']);
const writeMethods: ReadonlySet<string> = new Set(['POST', 'PATCH', 'PUT', 'DELETE']);
/** A name or an address, with a port or without: it goes into the realm of challenges. */
const hostHeader = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

export class RegistryFront {
  readonly #parts: RegistryFrontParts;
  readonly #access: AccessControl;
  readonly #page: RegistryPage;
  readonly #handle: RegistryHandler;
  #limits: { readonly size: RateLimit; readonly buckets: TokenBuckets } | null = null;
  #uploads = 0;

  constructor(parts: RegistryFrontParts) {
    this.#parts = parts;
    this.#access = { decide: (request, scope) => this.#decide(request, scope) };
    this.#page = parts.page(this.#access);
    this.#handle = createRegistryHandler({
      registry: parts.registry,
      access: this.#access,
      readOnly: () => parts.settings().readOnly,
      admit: ({ address, method, route }) => this.#admit(address, uploadMethods.has(method) && (route === 'uploads' || route === 'upload')),
      addressOf: (request) => currentTurn()?.address ?? clientAddress(request, parts.settings().trustedProxies),
      onRequest: (observed) => parts.metrics.observe(observed),
      onError: (error, request) => this.#logFailure(error, request),
    });
  }

  /** For `Registry.onEvent`. */
  onEvent(event: RegistryEvent): void {
    this.#parts.metrics.events.add({ action: event.action });
    const turn = currentTurn();
    if (turn === null) this.#auditEvent(event, null);
    else turn.events.push(event);
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    const address = clientAddress(request, this.#parts.settings().trustedProxies);
    const turn: RequestTurn = { request, response, address, user: null, scope: null, events: [] };
    this.#parts.metrics.inFlight.add();
    response.once('close', () => {
      this.#parts.metrics.inFlight.add({}, -1);
      this.#audit(turn);
    });
    response.setHeader('X-Content-Type-Options', 'nosniff');
    inTurn(turn, () => {
      if (request.headers.host !== undefined && !hostHeader.test(request.headers.host))
        this.#refuse(turn, new RegistryRefusal('UNSUPPORTED', 'the Host of this request is no name of a host', null, 400));
      else if (!this.#handle(request, response)) void this.#serveOther(turn);
    });
  }

  /** `/metrics` alone, for an address of its own. */
  serveMetrics(request: IncomingMessage, response: ServerResponse): void {
    if ((request.url ?? '/').split('?', 1)[0] === '/metrics') sendText(request, response, 200, this.#parts.metricsText(), metricsType);
    else sendText(request, response, 404, 'here is only /metrics\n');
  }

  async #serveOther(turn: RequestTurn): Promise<void> {
    const { request, response, address } = turn;
    const [path] = (request.url ?? '/').split('?', 1);
    try {
      if (path === '/healthz') return await this.#serveHealth(request, response);
      const refused = this.#admit(address, false);
      if (refused !== null) throw new RegistryRefusal('TOOMANYREQUESTS', refused.message, null, 429, refused.retryAfterSeconds);
      if (path === '/token') return await this.#serveToken(turn);
      if (path === '/metrics') return await this.#serveOwnMetrics(turn);
      await this.#servePage(turn);
    } catch (error) {
      this.#refuse(turn, error);
    }
  }

  async #serveHealth(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const health = await this.#parts.health.look();
    const isHealthy = health.kind === 'healthy';
    const body = isHealthy ? { status: 'ok' } : { status: 'failing', checks: health.checks };
    sendText(request, response, isHealthy ? 200 : 503, `${JSON.stringify(body)}\n`, 'application/json');
  }

  async #serveToken(turn: RequestTurn): Promise<void> {
    const { access, metrics, logger } = this.#parts;
    try {
      const { user } = await answerTokenRequest(access, turn.request, turn.response, turn.address);
      turn.user = user;
      metrics.tokens.add({ outcome: 'issued' });
    } catch (error) {
      metrics.tokens.add({ outcome: 'refused' });
      if (error instanceof RegistryRefusal && error.status === 401) {
        turn.response.setHeader('WWW-Authenticate', `Basic realm="${access.service}", charset="UTF-8"`);
        logger.info({ address: turn.address, reason: error.message }, 'a token was refused');
      }
      throw error;
    }
  }

  async #serveOwnMetrics(turn: RequestTurn): Promise<void> {
    const { metrics } = this.#parts.settings();
    if (metrics === 'elsewhere') throw new RegistryRefusal('UNSUPPORTED', 'metrics have an address of their own here', null, 404);
    if (metrics === 'users' && this.#parts.access.asksForPasswords) {
      const decision = await this.#access.decide({ ...this.#accessRequest(turn), isBrowser: true }, { kind: 'base' });
      if (decision.kind !== 'granted' || decision.user === null) {
        turn.response.setHeader('WWW-Authenticate', `Basic realm="${this.#parts.access.service}", charset="UTF-8"`);
        throw new RegistryRefusal('UNAUTHORIZED', 'authentication required');
      }
    }
    sendText(turn.request, turn.response, 200, this.#parts.metricsText(), metricsType);
  }

  async #servePage(turn: RequestTurn): Promise<void> {
    const { request, response } = turn;
    const { status, headers, body } = await this.#page({
      ...this.#accessRequest(turn),
      method: request.method ?? 'GET',
      target: request.url ?? '/',
    });
    if (!request.complete) response.setHeader('Connection', 'close');
    response.writeHead(status, { 'Content-Length': Buffer.byteLength(body), ...headers });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #decide(request: AccessRequest, scope: AccessScope): Promise<AccessDecision> {
    const turn = currentTurn();
    if (turn !== null) turn.scope ??= scope;
    try {
      const decision = await this.#parts.access.decide(turn === null ? request : { ...request, origin: this.#origin(turn) }, scope);
      if (turn !== null && decision.kind === 'granted') turn.user ??= decision.user;
      if (request.isListEntry !== true) this.#parts.metrics.decisions.add({ outcome: decision.kind });
      return decision;
    } catch (error) {
      if (error instanceof RegistryRefusal && error.retryAfterSeconds !== null) {
        this.#parts.metrics.limited.add({ limit: 'user' });
        if (turn?.response.headersSent === false) turn.response.setHeader('Retry-After', error.retryAfterSeconds);
      }
      throw error;
    }
  }

  #origin({ request }: RequestTurn): string {
    return clientOrigin(request, this.#parts.settings().trustedProxies);
  }

  #admit(address: string, isUpload: boolean): Admission | null {
    const { perAddress, maxConcurrentUploads } = this.#parts.settings();
    const seconds = this.#buckets(perAddress)?.takeOrWait(limitKey(address)) ?? 0;
    if (seconds > 0) {
      this.#parts.metrics.limited.add({ limit: 'address' });
      return { message: 'too many requests from this address: try again later', retryAfterSeconds: Math.ceil(seconds) };
    }
    if (!isUpload) return null;
    if (maxConcurrentUploads !== null && this.#uploads >= maxConcurrentUploads) {
      this.#parts.metrics.limited.add({ limit: 'uploads' });
      return { message: `${this.#uploads} uploads are under way, which is as many as may be: try again later`, retryAfterSeconds: 5 };
    }
    this.#uploads++;
    currentTurn()?.response.once('close', () => void this.#uploads--);
    return null;
  }

  #buckets(size: RateLimit | null): TokenBuckets | null {
    if (size === null) return null;
    if (this.#limits?.size !== size) this.#limits = { size, buckets: new TokenBuckets(size) };
    return this.#limits.buckets;
  }

  #accessRequest(turn: RequestTurn): AccessRequest {
    return { authorization: turn.request.headers.authorization ?? null, address: turn.address, origin: this.#origin(turn) };
  }

  #refuse({ request, response }: RequestTurn, thrown: unknown): void {
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const { status, body, unexpected } = refusalOf(thrown);
    if (unexpected) this.#logFailure(thrown, request);
    if (thrown instanceof RegistryRefusal && thrown.retryAfterSeconds !== null) response.setHeader('Retry-After', thrown.retryAfterSeconds);
    if (!request.complete) response.setHeader('Connection', 'close');
    sendText(request, response, status, body, 'application/json');
  }

  #logFailure(error: unknown, request: IncomingMessage): void {
    this.#parts.logger.error(
      {
        method: request.method,
        path: (request.url ?? '').split('?', 1)[0],
        error: errorText(error),
        stack: error instanceof Error ? error.stack : undefined,
      },
      'a request failed',
    );
  }

  #audit(turn: RequestTurn): void {
    const { request, response } = turn;
    const status = response.headersSent ? response.statusCode : null;
    for (const event of turn.events) this.#auditEvent(event, status);
    if (turn.events.length > 0 || status === null || status < 400 || !writeMethods.has(request.method ?? '') || turn.scope === null) return;
    // Every push begins with it: a question of the protocol, not a refusal.
    if (status === 401 && request.headers.authorization === undefined) return;
    this.#parts.audit()?.write({
      time: new Date(),
      user: turn.user,
      address: turn.address,
      userAgent: request.headers['user-agent'] ?? '',
      action: 'refused',
      repository: turn.scope.kind === 'repository' ? turn.scope.name : null,
      digest: null,
      tag: null,
      bytes: null,
      status,
      method: request.method ?? '',
    });
  }

  #auditEvent(event: RegistryEvent, status: number | null): void {
    if (event.action === 'pull-through') return;
    const { at, writer, action, repository, digest, tag, sizeBytes } = event;
    const { user, address, userAgent } = writer;
    this.#parts.audit()?.write({ time: at, user, address, userAgent, action, repository, digest, tag, bytes: sizeBytes, status });
  }
}

const metricsType = 'text/plain; version=0.0.4; charset=utf-8';

function sendText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), 'Cache-Control': 'no-store' });
  response.end(request.method === 'HEAD' ? undefined : body);
}
