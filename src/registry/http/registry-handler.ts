/**
 * The HTTP side of the registry: which endpoint a request means, whether whoever sends it may, and the answer; the routes do the rest.
 *
 *     request ─▶ path ─▶ admission (rate) ─▶ access (401, 403) ─▶ read-only (405) ─▶ route ─▶ observer
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { hasErrnoCode } from '../../base/errors.ts';
import type { AccessControl, AccessRequest, AccessScope, RepositoryAction } from '../access.ts';
import type { Registry } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { deleteBlob, getBlob } from './blob-routes.ts';
import type { Exchange } from './exchange.ts';
import { listReferrers, listRepositories, listTags } from './list-routes.ts';
import { deleteManifest, getManifest, putManifest } from './manifest-routes.ts';
import { refusalOf } from './refuse.ts';
import { type RegistryPath, readPath } from './request-path.ts';
import { appendUpload, beginUpload, cancelUpload, finishUpload, uploadStatus } from './upload-routes.ts';

export interface RegistryHandlerOptions {
  readonly registry: Registry;
  readonly access: AccessControl;
  /** Why nothing can be changed now; null: it can. */
  readonly readOnly?: () => string | null;
  /** Asked first. Null: go on. */
  readonly admit?: (request: AdmissionRequest) => Admission | null;
  /** The address that counts, behind a proxy that is trusted. */
  readonly addressOf?: (request: IncomingMessage) => string;
  readonly onRequest?: (observed: ObservedRequest) => void;
  /** What went wrong on our side. */
  readonly onError?: (error: unknown, request: IncomingMessage) => void;
}

export interface AdmissionRequest {
  readonly address: string;
  readonly authorization: string | null;
  readonly method: string;
  readonly route: RegistryRoute;
}

/** 429 with `Retry-After`. */
export interface Admission {
  readonly message: string;
  readonly retryAfterSeconds: number;
}

/** What metrics count by. */
export type RegistryRoute = RegistryPath['kind'] | 'unknown';

export interface ObservedRequest {
  readonly method: string;
  readonly route: RegistryRoute;
  readonly repository: string | null;
  readonly status: number;
  /** Of the body, as far as it was taken. */
  readonly requestBytes: number;
  /** With heads. */
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly user: string | null;
  readonly address: string;
}

type Handled = Promise<void>;

/** False: not below `/v2`: for whoever else serves on this address. */
export type RegistryHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

export function createRegistryHandler(options: RegistryHandlerOptions): RegistryHandler {
  return (request, response) => {
    const url = request.url ?? '/';
    if (!url.startsWith('/v2/') && url !== '/v2' && !url.startsWith('/v2?')) return false;
    void new RequestTurn(options, request, response, url).run();
    return true;
  };
}

class RequestTurn {
  readonly #options: RegistryHandlerOptions;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #path: string;
  readonly #query: string;
  readonly #address: string;
  readonly #startedAt = performance.now();
  #endpoint: RegistryPath | null = null;
  #user: string | null = null;
  #sentBytes = 0;
  #takenBytes = 0;

  constructor(options: RegistryHandlerOptions, request: IncomingMessage, response: ServerResponse, url: string) {
    this.#options = options;
    this.#request = request;
    this.#response = response;
    const mark = url.indexOf('?');
    this.#path = mark === -1 ? url : url.slice(0, mark);
    this.#query = mark === -1 ? '' : url.slice(mark + 1);
    this.#address = options.addressOf?.(request) ?? request.socket.remoteAddress ?? '';
  }

  async run(): Promise<void> {
    const response = this.#response;
    response.setHeader('Docker-Distribution-API-Version', 'registry/2.0');
    if (this.#options.onRequest !== undefined) this.#observe(this.#options.onRequest);
    try {
      await this.#serve();
    } catch (thrown) {
      this.#refuse(thrown);
    }
  }

  async #serve(): Promise<void> {
    let unreadable: unknown = null;
    try {
      this.#endpoint = readPath(this.#path, this.#request.method === 'GET' || this.#request.method === 'HEAD');
    } catch (thrown) {
      unreadable = thrown;
    }
    this.#admit();
    const endpoint = this.#endpoint;
    if (endpoint === null) {
      // Whoever is nobody learns nothing about paths either.
      await this.#allow({ kind: 'base' });
      throw unreadable ?? new RegistryRefusal('UNSUPPORTED', `no such endpoint: ${this.#path.slice(0, 200)}`, null, 404);
    }
    const method = this.#request.method ?? 'GET';
    const actions = actionsOf(endpoint, method);
    if (actions === null) throw this.#wrongMethod(endpoint, method);
    await this.#allow(scopeOf(endpoint, actions));
    if (actions.some((action) => action !== 'pull')) this.#refuseReadOnly();
    await this.#route(endpoint, method);
  }

  #route(endpoint: RegistryPath, method: string): Handled {
    const { registry } = this.#options;
    switch (endpoint.kind) {
      case 'base':
        this.#response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 2 });
        this.#response.end(method === 'HEAD' ? undefined : '{}');
        return Promise.resolve();
      case 'catalogue':
        return listRepositories(this.#exchange(), registry, (name) => this.#mayPull(name, true));
      case 'tags':
        return listTags(this.#exchange(), registry.repository(endpoint.name));
      case 'referrers':
        return listReferrers(this.#exchange(), registry.repository(endpoint.name), endpoint.digest);
      case 'manifest': {
        const route = method === 'PUT' ? putManifest : method === 'DELETE' ? deleteManifest : getManifest;
        return route(this.#exchange(), registry.repository(endpoint.name), endpoint.reference);
      }
      case 'blob':
        return (method === 'DELETE' ? deleteBlob : getBlob)(this.#exchange(), registry.repository(endpoint.name), endpoint.digest);
      case 'uploads':
        return beginUpload(this.#exchange(), registry.repository(endpoint.name), (from) => this.#mayPull(from));
      case 'upload': {
        const route = { PATCH: appendUpload, PUT: finishUpload, DELETE: cancelUpload }[method] ?? uploadStatus;
        return route(this.#exchange(), registry.repository(endpoint.name), endpoint.id);
      }
    }
  }

  #exchange(): Exchange {
    const gone = new AbortController();
    const [request, response] = [this.#request, this.#response];
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new Error('the client went away'));
    });
    return {
      request,
      response,
      query: new URLSearchParams(this.#query),
      writer: { user: this.#user, address: this.#address, userAgent: request.headers['user-agent'] ?? '' },
      signal: gone.signal,
      countTaken: (bytes) => {
        this.#takenBytes += bytes;
      },
      countSent: (bytes) => {
        this.#sentBytes += bytes;
      },
    };
  }

  #admit(): void {
    const { admit } = this.#options;
    if (admit === undefined) return;
    const route = this.#endpoint?.kind ?? 'unknown';
    const authorization = this.#request.headers.authorization ?? null;
    const refused = admit({ address: this.#address, authorization, method: this.#request.method ?? 'GET', route });
    if (refused === null) return;
    this.#response.setHeader('Retry-After', Math.max(1, Math.ceil(refused.retryAfterSeconds)));
    throw new RegistryRefusal('TOOMANYREQUESTS', refused.message);
  }

  async #allow(scope: AccessScope): Promise<void> {
    const decision = await this.#options.access.decide(this.#accessRequest(), scope);
    if (decision.kind === 'granted') {
      this.#user = decision.user;
      return;
    }
    if (decision.kind === 'denied') throw new RegistryRefusal('DENIED', decision.message);
    this.#response.setHeader('WWW-Authenticate', decision.challenge);
    throw new RegistryRefusal('UNAUTHORIZED', decision.message);
  }

  async #mayPull(name: string, isListEntry = false): Promise<boolean> {
    const scope: AccessScope = { kind: 'repository', name, actions: ['pull'] };
    return (await this.#options.access.decide({ ...this.#accessRequest(), isListEntry }, scope)).kind === 'granted';
  }

  #accessRequest(): AccessRequest {
    const { headers, socket } = this.#request;
    const scheme = 'encrypted' in socket ? 'https' : 'http';
    return { authorization: headers.authorization ?? null, address: this.#address, origin: `${scheme}://${headers.host ?? 'localhost'}` };
  }

  #refuseReadOnly(): void {
    const why = this.#options.readOnly?.() ?? null;
    if (why !== null) throw new RegistryRefusal('UNSUPPORTED', why);
  }

  #wrongMethod(endpoint: RegistryPath, method: string): RegistryRefusal {
    const allowed = Object.keys(methods[endpoint.kind]);
    this.#response.setHeader('Allow', allowed.join(', '));
    return new RegistryRefusal('UNSUPPORTED', `${method} does nothing here; ${allowed.join(', ')} does`);
  }

  #refuse(thrown: unknown): void {
    const [request, response] = [this.#request, this.#response];
    // A client that is gone hears nothing, and an answer that has begun can only be cut.
    if (response.headersSent || response.destroyed) {
      if (!hasErrnoCode(thrown, 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE', 'ABORT_ERR')) this.#options.onError?.(thrown, request);
      response.destroy();
      return;
    }
    const { status, body, unexpected } = refusalOf(thrown);
    if (unexpected) this.#options.onError?.(thrown, request);
    if (thrown instanceof RegistryRefusal && thrown.retryAfterSeconds !== null) response.setHeader('Retry-After', thrown.retryAfterSeconds);
    // The rest of a body that nobody wants: the connection ends after the answer.
    if (!request.complete) response.setHeader('Connection', 'close');
    response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  #observe(onRequest: (observed: ObservedRequest) => void): void {
    const { socket } = this.#request;
    const writtenBefore = socket.bytesWritten;
    this.#response.once('close', () => {
      onRequest({
        method: this.#request.method ?? 'GET',
        route: this.#endpoint?.kind ?? 'unknown',
        repository: this.#endpoint !== null && 'name' in this.#endpoint ? this.#endpoint.name : null,
        status: this.#response.statusCode,
        requestBytes: this.#takenBytes,
        responseBytes: socket.bytesWritten - writtenBefore + this.#sentBytes,
        durationMs: performance.now() - this.#startedAt,
        user: this.#user,
        address: this.#address,
      });
    });
  }
}

/** What each method needs. */
const methods: Readonly<Record<RegistryPath['kind'], Readonly<Record<string, readonly RepositoryAction[]>>>> = {
  base: { GET: [], HEAD: [] },
  catalogue: { GET: [], HEAD: [] },
  tags: { GET: ['pull'], HEAD: ['pull'] },
  referrers: { GET: ['pull'], HEAD: ['pull'] },
  manifest: { GET: ['pull'], HEAD: ['pull'], PUT: ['pull', 'push'], DELETE: ['delete'] },
  blob: { GET: ['pull'], HEAD: ['pull'], DELETE: ['delete'] },
  uploads: { POST: ['pull', 'push'] },
  upload: { GET: ['pull', 'push'], HEAD: ['pull', 'push'], PATCH: ['pull', 'push'], PUT: ['pull', 'push'], DELETE: ['pull', 'push'] },
};

function actionsOf(endpoint: RegistryPath, method: string): readonly RepositoryAction[] | null {
  return methods[endpoint.kind][method] ?? null;
}

function scopeOf(endpoint: RegistryPath, actions: readonly RepositoryAction[]): AccessScope {
  if (endpoint.kind === 'base' || endpoint.kind === 'catalogue') return { kind: endpoint.kind };
  return { kind: 'repository', name: endpoint.name, actions };
}
