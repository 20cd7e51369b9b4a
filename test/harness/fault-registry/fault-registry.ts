/**
 * A registry inside the test: serves what `content` holds by OCI's and Docker's API, remembers every request, and does wrong what its plan says. It takes pushes
 * too; what was pushed is in `content`.
 *
 *     request ──▶ record ──▶ plan (a fault may answer at once) ──▶ gatekeeper ──▶ route ──▶ headers ──▶ body, bent by the fault
 *
 * Another host is another instance at another address of the loopback network: `startFaultRegistry({ address: '127.0.0.2' })`.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Digest } from '../../../src/base/brand.ts';
import { resetConnection } from './answer-body.ts';
import { type Fault, FaultPlan, type FaultRule, type PlannedFault } from './faults.ts';
import { carries, type RecordedRequest } from './recorded-request.ts';
import { RegistryContent } from './registry-content.ts';
import { answerRequest, describeRequest } from './routes.ts';
import { Gatekeeper, type RegistryAuth } from './tokens.ts';
import { UploadShelf } from './upload-shelf.ts';

export interface FaultRegistryOptions {
  readonly content?: RegistryContent;
  readonly auth?: RegistryAuth;
  /** 127.0.0.1 unless told. */
  readonly address?: string;
  /** PEM. `ca`: clients must show a certificate of it. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer; readonly ca?: string | Buffer };
  /** Of Docker's search. */
  readonly searchResults?: readonly object[];
  /** False: 404, as registries before OCI 1.1. */
  readonly referrersApi?: boolean;
}

export interface FaultRegistry {
  /** `127.0.0.1:port`, as in image names. */
  readonly host: string;
  readonly url: string;
  readonly content: RegistryContent;
  readonly requests: readonly RecordedRequest[];
  plan(on: FaultRule['on'], fault: Fault, more?: Pick<FaultRule, 'skip' | 'times'>): PlannedFault;
  clearPlan(): void;
  forgetRequests(): void;
  /** Body bytes of a blob that went out, over all requests. */
  bytesServed(digest: Digest): number;
  blobBytesServed(): number;
  requestsOf(method: string, kind: RecordedRequest['kind']): readonly RecordedRequest[];
  /** The requests that show any of these in their path, their headers or their decoded Authorization. */
  requestsWith(secrets: readonly string[]): readonly RecordedRequest[];
  /** After so many more bytes of blobs all connections are cut, exactly there, and new ones refused until `restore`. Resolves at the cut. */
  cutAfter(blobBytes: number): Promise<void>;
  /** At once, as `cutAfter`. */
  cut(): void;
  restore(): void;
  close(): Promise<void>;
}

export async function startFaultRegistry(options: FaultRegistryOptions = {}): Promise<FaultRegistry> {
  const registry = new RunningRegistry(options);
  await registry.listen(options.address ?? '127.0.0.1');
  return registry;
}

class RunningRegistry implements FaultRegistry {
  readonly content: RegistryContent;
  readonly requests: RecordedRequest[] = [];
  readonly #options: FaultRegistryOptions;
  readonly #plan = new FaultPlan();
  readonly #gatekeeper: Gatekeeper;
  readonly #uploads: UploadShelf;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #address = '';
  #isDown = false;
  #allowance = Number.POSITIVE_INFINITY;
  #whenCut: () => void = () => undefined;

  constructor(options: FaultRegistryOptions) {
    this.#options = options;
    this.content = options.content ?? new RegistryContent();
    this.#gatekeeper = new Gatekeeper(options.auth ?? null);
    this.#uploads = new UploadShelf(this.content);
    const serve: RequestListener = (request, response) => void this.#serve(request, response);
    this.#server = options.tls === undefined ? createServer(serve) : createTlsServer(tlsOptions(options.tls), serve);
    this.#server.requestTimeout = 0;
    this.#server.on('connection', (socket: Socket) => this.#admit(socket));
  }

  get host(): string {
    return this.#address;
  }

  get url(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://${this.#address}`;
  }

  async listen(address: string): Promise<void> {
    await new Promise<void>((resolve, reject) => this.#server.once('error', reject).listen(0, address, resolve));
    this.#address = `${address}:${(this.#server.address() as AddressInfo).port}`;
  }

  plan(on: FaultRule['on'], fault: Fault, more: Pick<FaultRule, 'skip' | 'times'> = {}): PlannedFault {
    return this.#plan.add({ on, fault, ...more });
  }

  clearPlan(): void {
    this.#plan.clear();
  }

  forgetRequests(): void {
    this.requests.length = 0;
  }

  bytesServed(digest: Digest): number {
    return sentBytes(this.requests.filter((request) => request.digest === digest && isSuccess(request)));
  }

  blobBytesServed(): number {
    return sentBytes(this.requests.filter((request) => request.kind === 'blob' && isSuccess(request)));
  }

  requestsOf(method: string, kind: RecordedRequest['kind']): readonly RecordedRequest[] {
    return this.requests.filter((request) => request.method === method && request.kind === kind);
  }

  requestsWith(secrets: readonly string[]): readonly RecordedRequest[] {
    return this.requests.filter((request) => carries(request, secrets));
  }

  cutAfter(blobBytes: number): Promise<void> {
    this.#allowance = blobBytes;
    return new Promise((resolve) => {
      this.#whenCut = resolve;
    });
  }

  cut(): void {
    this.#isDown = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#whenCut();
  }

  restore(): void {
    this.#isDown = false;
    this.#allowance = Number.POSITIVE_INFINITY;
    this.#whenCut = () => undefined;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #admit(socket: Socket): void {
    if (this.#isDown) return void socket.destroy();
    this.#sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const record = describeRequest(request);
    this.requests.push(record);
    response.on('error', () => undefined);
    response.once('close', () => {
      record.status ||= response.headersSent ? response.statusCode : 0;
    });
    const fault = this.#plan.take({
      method: record.method,
      kind: record.kind,
      path: record.path,
      ranged: request.headers.range !== undefined,
    });
    try {
      await answerRequest({
        request,
        response,
        record,
        fault,
        content: this.content,
        gatekeeper: this.#gatekeeper,
        uploads: this.#uploads,
        origin: this.url,
        searchResults: this.#options.searchResults ?? [],
        hasReferrersApi: this.#options.referrersApi ?? true,
        allowed: (pieces) => this.#allowed(pieces),
      });
    } catch (thrown) {
      // A client that leaves in the middle; anything else is a mistake of the test and has to be seen.
      if (!request.destroyed && !response.destroyed) {
        console.error(thrown);
        resetConnection(response);
      }
    }
  }

  /** Bytes of blobs, up to the byte at which everything is cut. */
  async *#allowed(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of pieces) {
      const part = piece.subarray(0, this.#allowance);
      this.#allowance -= part.length;
      if (part.length > 0) yield part;
      if (this.#allowance > 0) continue;
      if (!this.#isDown) this.cut();
      return;
    }
  }
}

function tlsOptions({ key, cert, ca }: NonNullable<FaultRegistryOptions['tls']>) {
  return ca === undefined ? { key, cert } : { key, cert, ca, requestCert: true, rejectUnauthorized: true };
}

function isSuccess({ status }: RecordedRequest): boolean {
  return status === 200 || status === 206;
}

function sentBytes(requests: readonly RecordedRequest[]): number {
  return requests.reduce((sum, request) => sum + request.sentBytes, 0);
}
