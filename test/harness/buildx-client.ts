/**
 * A client that does what buildx does, step by step (CLIENTS.md 7.3), made from the published definitions (buildkit-protocol/) and gRPC's own library: none of the product's code is on this side.
 */

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { type WritableEntry, writeTar } from '../../src/archive/tar-writer.ts';
import {
  createSessionServer,
  buildKitPackages as packages,
  type SessionContent,
  type SessionServer,
  type SessionTrace,
  serviceNamed,
} from './buildx-session.ts';

/** Leaves HTTP/1 by `Upgrade: h2c`, as buildx's dialer does. */
export function upgrade(socketPath: string, path: string, headers: Readonly<Record<string, string | string[]>> = {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const upgrading = request({
      socketPath,
      path,
      method: 'POST',
      headers: { Host: 'docker', Connection: 'Upgrade', Upgrade: 'h2c', ...headers },
    });
    upgrading.once('upgrade', (response, socket: Socket, head) => {
      if (response.statusCode !== 101) return reject(new Error(`HTTP ${response.statusCode}`));
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    upgrading.once('response', (response) => {
      response.setEncoding('utf8');
      let body = '';
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => reject(Object.assign(new Error(`HTTP ${response.statusCode}: ${body}`), { status: response.statusCode })));
    });
    upgrading.once('error', reject);
    upgrading.end();
  });
}

type Message = Readonly<Record<string, unknown>>;

/** A connection of gRPC through `/grpc`. gRPC's library wants to dial itself: what it dials passes everything on. */
export class GrpcConnection implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'g-grpc-'));
  readonly #sockets = new Set<Socket>();
  readonly #clients = new Map<string, Client>();
  readonly #server = createServer((local) => {
    this.#sockets.add(local);
    local.on('error', () => local.destroy());
    upgrade(this.socketPath, '/grpc').then(
      (socket) => {
        this.#sockets.add(socket);
        socket.on('error', () => local.destroy());
        socket.on('close', () => local.destroy());
        local.on('close', () => socket.destroy());
        local.pipe(socket).pipe(local);
      },
      () => local.destroy(),
    );
  });
  readonly socketPath: string;

  private constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  static async open(socketPath: string): Promise<GrpcConnection> {
    const connection = new GrpcConnection(socketPath);
    await new Promise<void>((resolve) => connection.#server.listen(join(connection.#directory, 's'), resolve));
    return connection;
  }

  /** `method`: `Control.Solve`, `LLBBridge.Ping`. */
  unary(
    method: string,
    message: Message,
    options: { readonly metadata?: Metadata; readonly deadlineMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Message> {
    const [service = '', name = ''] = method.split('.');
    return new Promise((resolve, reject) => {
      const client = this.#client(service) as never as Readonly<Record<string, (...parts: unknown[]) => { cancel(): void }>>;
      const callOptions = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
      const call = client[name]?.call(
        client,
        message,
        options.metadata ?? new Metadata(),
        callOptions,
        (error: ServiceError | null, answer: Message) => (error === null ? resolve(answer) : reject(error)),
      );
      options.signal?.addEventListener('abort', () => call?.cancel(), { once: true });
    });
  }

  async *stream(method: string, message: Message): AsyncGenerator<Message> {
    const [service = '', name = ''] = method.split('.');
    const client = this.#client(service) as never as Readonly<Record<string, (message: Message) => AsyncIterable<Message>>>;
    yield* client[name]?.call(client, message) ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) client.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #client(service: string): Client {
    const known = this.#clients.get(service);
    if (known !== undefined) return known;
    const Service = serviceNamed(service === 'Control' ? 'moby.buildkit.v1.Control' : 'moby.buildkit.v1.frontend.LLBBridge');
    const limit = 16 * 1024 * 1024;
    const client = new Service(`unix:${join(this.#directory, 's')}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': limit,
      'grpc.max_metadata_size': limit,
    });
    this.#clients.set(service, client);
    return client;
  }
}

export interface OpenSession extends AsyncDisposable {
  readonly id: string;
  readonly trace: SessionTrace;
  readonly socket: Socket;
}

export async function openSession(socketPath: string, content: SessionContent, sharedKey = ''): Promise<OpenSession> {
  const server: SessionServer = createSessionServer(content);
  const id = randomBytes(13).toString('hex').slice(0, 25);
  const socket = await upgrade(socketPath, '/session', {
    'X-Docker-Expose-Session-Uuid': id,
    'X-Docker-Expose-Session-Name': 'default',
    'X-Docker-Expose-Session-Sharedkey': sharedKey,
    'X-Docker-Expose-Session-Grpc-Method': [...server.methods],
  });
  server.serve(socket);
  return {
    id,
    trace: server.trace,
    socket,
    async [Symbol.asyncDispose]() {
      socket.destroy();
      server.close();
    },
  };
}

export interface BuildxBuild {
  readonly session: SessionContent;
  readonly sharedKey?: string;
  /** `FrontendOpt`. */
  readonly options?: Readonly<Record<string, string>>;
  readonly exporters?: readonly { readonly Type: string; readonly Attrs?: Readonly<Record<string, string>> }[];
  readonly entitlements?: readonly string[];
  readonly cache?: { readonly Exports?: readonly object[]; readonly Imports?: readonly object[] };
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly frontend?: string;
  readonly signal?: AbortSignal;
  /** Between the build and its return, as bake's linked targets are. */
  readonly whileBuilt?: (result: BuiltResult) => Promise<void>;
  /** `Status` and `Ping` before `Solve`, as it may happen. */
  readonly statusFirst?: boolean;
  readonly onStatus?: (message: StatusMessage) => void;
}

export interface BuiltResult {
  readonly reference: { readonly id: string; readonly def: unknown } | null;
  readonly metadata: Readonly<Record<string, Buffer>>;
}

export interface StatusMessage {
  readonly vertexes: readonly {
    readonly digest: string;
    readonly name: string;
    readonly cached: boolean;
    readonly error: string;
    readonly started: unknown;
    readonly completed: unknown;
  }[];
  readonly statuses: readonly { readonly ID: string; readonly vertex: string; readonly current: number }[];
  readonly logs: readonly { readonly vertex: string; readonly msg: Buffer; readonly stream: number }[];
  readonly warnings: readonly {
    readonly short: Buffer;
    readonly info: { readonly data: Buffer } | null;
    readonly ranges: readonly unknown[];
  }[];
}

export interface BuildxOutcome {
  readonly response: Readonly<Record<string, string>>;
  readonly result: BuiltResult;
  readonly status: readonly StatusMessage[];
  readonly trace: SessionTrace;
  readonly capabilities: readonly string[];
}

export class BuildxError extends Error {
  readonly code: number;
  readonly status: readonly StatusMessage[];
  readonly details: readonly { readonly type_url: string; readonly value: Buffer }[];

  constructor(error: ServiceError, status: readonly StatusMessage[]) {
    super(error.details);
    this.code = error.code;
    this.status = status;
    const bytes = error.metadata?.get('grpc-status-details-bin')[0];
    this.details =
      bytes === undefined ? [] : (decodeMessage('moby.buildkit.v1.RpcStatus', bytes as Buffer) as never as { details: [] }).details;
  }
}

/** By any method that takes it: gRPC's library gives no other way to a message's decoder. */
export function decodeMessage(name: string, bytes: Buffer): Message {
  const type = name.split('.').reduce<unknown>((object, part) => (object as Readonly<Record<string, unknown>>)[part], packages) as {
    readonly deserialize: (bytes: Buffer) => Message;
  };
  return type.deserialize(bytes);
}

/** Steps 5 to 11 of a build, with the races that there are between them. */
export async function buildxBuild(socketPath: string, build: BuildxBuild): Promise<BuildxOutcome> {
  await using connection = await GrpcConnection.open(socketPath);
  await using session = await openSession(socketPath, build.session, build.sharedKey);
  const ref = randomBytes(13).toString('hex').slice(0, 25);
  const metadata = new Metadata();
  metadata.set('buildkit-controlapi-buildid', ref);
  const status: StatusMessage[] = [];
  const follow = async () => {
    for await (const message of connection.stream('Control.Status', { Ref: ref })) {
      status.push(message as never);
      build.onStatus?.(message as never);
    }
  };
  const early = build.statusFirst === true ? [follow(), connection.unary('LLBBridge.Ping', {}, { metadata, deadlineMs: 15_000 })] : [];
  if (early.length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  const solved = connection.unary(
    'Control.Solve',
    {
      Ref: ref,
      Session: session.id,
      Exporters: build.exporters ?? [{ Type: 'moby' }],
      ExporterDeprecated: build.exporters?.[0]?.Type ?? 'moby',
      Cache: build.cache ?? {},
      Entitlements: build.entitlements ?? [],
    },
    build.signal === undefined ? {} : { signal: build.signal },
  );
  solved.catch(() => {});
  const followed = (early[0] as Promise<void> | undefined) ?? follow();
  followed.catch(() => {});
  try {
    const pong = (await (early[1] ?? connection.unary('LLBBridge.Ping', {}, { metadata, deadlineMs: 15_000 }))) as {
      FrontendAPICaps: readonly { ID: string }[];
    };
    const result = await gatewaySolve(connection, build, metadata);
    await build.whileBuilt?.(result);
    await connection.unary(
      'LLBBridge.Return',
      { result: result.reference === null ? {} : { ref: { id: result.reference.id } } },
      { metadata },
    );
    const { ExporterResponse } = (await solved) as { ExporterResponse: Record<string, string> };
    await followed;
    return { response: ExporterResponse, result, status, trace: session.trace, capabilities: pong.FrontendAPICaps.map(({ ID }) => ID) };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    const told = await solved.then(
      () => error,
      (fromSolve: ServiceError) => fromSolve,
    );
    await followed.catch(() => {});
    throw new BuildxError({ ...told, details: told.details, metadata: told.metadata } as ServiceError, status);
  }
}

async function gatewaySolve(connection: GrpcConnection, build: BuildxBuild, metadata: Metadata): Promise<BuiltResult> {
  const options = { filename: 'Dockerfile', 'image-resolve-mode': 'local', ...build.options };
  try {
    const { result } = (await connection.unary(
      'LLBBridge.Solve',
      {
        Frontend: build.frontend ?? 'dockerfile.v0',
        FrontendOpt: options,
        FrontendInputs: build.inputs ?? {},
        allowResultReturn: true,
        allowResultArrayRef: true,
      },
      build.signal === undefined ? { metadata } : { metadata, signal: build.signal },
    )) as { result: { ref: { id: string; def: unknown } | null; metadata: Record<string, Buffer> } };
    return { reference: result.ref ?? null, metadata: result.metadata };
  } catch (error) {
    if (!isServiceError(error)) throw error;
    const bytes = error.metadata.get('grpc-status-details-bin')[0] as Buffer | undefined;
    const details = bytes === undefined ? [] : (decodeMessage('moby.buildkit.v1.RpcStatus', bytes) as never as { details: [] }).details;
    await connection
      .unary('LLBBridge.Return', { error: { code: error.code, message: error.details, details } }, { metadata })
      .catch(() => {});
    throw error;
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'metadata' in error;
}

/** What a test's builder gives to its client. */
export function archiveOf(entries: readonly WritableEntry[]): AsyncIterable<Uint8Array> {
  return writeTar(entries);
}
