/** The client of a build, reached over its session. What it does not serve, it has not: no secrets, no agent, no credentials. */
import type { Duplex, Readable, Writable } from 'node:stream';
import { EngineError, invalid, notFound } from '../../../base/errors.ts';
import type { BuildClient, ContextTransfer, GivenDockerfile } from '../../../build/build-client.ts';
import type { BuildEvent } from '../../../build/build-event.ts';
import type { RegistryCredentials } from '../../../images/transfers.ts';
import { engineErrorOf, GrpcError, grpcCodes } from '../grpc/status.ts';
import { Empty } from '../messages/control.ts';
import {
  CheckAgentRequest,
  CredentialsRequest,
  CredentialsResponse,
  GetSecretRequest,
  GetSecretResponse,
  PacketMessage,
} from '../messages/session.ts';
import type { MessageType } from '../protobuf/message.ts';
import { duplexOf, openBytes, readableOf, writableOf } from './byte-streams.ts';
import { type DockerfilePlace, patternsOf, readDockerfile, readIgnoreFile } from './client-dockerfile.ts';
import { type LayoutIndex, layoutWriter, openLayout } from './content-store.ts';
import { openFolder } from './file-sync.ts';
import { folderWriter } from './send-folder.ts';
import type { Session, Sessions } from './session.ts';

/** Where a context of the client is. */
export type ClientContext =
  /** `session`: of which session, when it is another one than the build's. */
  | { readonly kind: 'folder'; readonly folder: string; readonly session: string | null }
  /** A tar that the client sends once: `http://buildkit-session/<id>`. */
  | { readonly kind: 'upload'; readonly host: string; readonly path: string }
  /** An OCI layout; `store`: the client's name of the folder. */
  | { readonly kind: 'layout'; readonly store: string; readonly digest: string }
  /** A tar that comes another way. */
  | { readonly kind: 'stream'; readonly open: (signal: AbortSignal) => Promise<Readable> };

export interface SessionClientOptions {
  readonly sessions: Sessions;
  readonly session: string;
  /** Null: it is in the build context. */
  readonly dockerfile: DockerfilePlace | null;
  readonly contexts: ReadonlyMap<string, ClientContext>;
  /** What the client makes of each output: files, or a stream of bytes. */
  readonly outputs: readonly ('folder' | 'stream' | 'layout' | null)[];
  /** A cache was written to a folder of the client: its descriptor, for the client's index. */
  readonly gotCacheManifest: (descriptor: unknown) => void;
  /** Output that waits for the client lies here. */
  readonly scratchDirectory: string;
  readonly report: (event: BuildEvent) => void;
  /** For messages and warnings that show a part of it. */
  readonly gotDockerfile: (dockerfile: GivenDockerfile) => void;
}

const methods = {
  credentials: '/moby.filesync.v1.Auth/Credentials',
  secret: '/moby.buildkit.secrets.v1.Secrets/GetSecret',
  checkAgent: '/moby.sshforward.v1.SSH/CheckAgent',
  forwardAgent: '/moby.sshforward.v1.SSH/ForwardAgent',
  upload: '/moby.upload.v1.Upload/Pull',
  send: '/moby.filesync.v1.FileSend/DiffCopy',
} as const;

/** The name that the build's own context has for the builder. */
export const mainContext = 'context';
const hubHost = 'registry-1.docker.io';
/** As BuildKit's: what is larger is no secret. */
const secretLimitBytes = 500 * 1024;

export class SessionClient implements BuildClient {
  readonly #options: SessionClientOptions;
  #dockerfile: Promise<GivenDockerfile> | null = null;

  constructor(options: SessionClientOptions) {
    this.#options = options;
  }

  report(event: BuildEvent): void {
    this.#options.report(event);
  }

  async dockerfile(signal: AbortSignal): Promise<GivenDockerfile | null> {
    const { dockerfile: place, contexts, gotDockerfile } = this.#options;
    if (place === null) return null;
    const context = contexts.get(mainContext);
    const contextFolder = context?.kind === 'folder' ? context.folder : null;
    this.#dockerfile ??= this.#session(signal).then((session) => readDockerfile(session, place, contextFolder, signal));
    const read = await this.#dockerfile;
    gotDockerfile(read);
    return read;
  }

  async context(name: string, signal: AbortSignal): Promise<ContextTransfer> {
    const context = this.#options.contexts.get(name);
    if (context === undefined) throw notFound(`the client has no build context ${JSON.stringify(name)}`);
    if (context.kind === 'stream') return { kind: 'tar', stream: await context.open(signal) };
    const session = await this.#session(signal, context.kind === 'folder' ? context.session : null);
    if (context.kind === 'layout') {
      const sync = await openLayout({ session, id: context.store }, context.digest, 'latest', signal);
      return { kind: 'sync', sync };
    }
    if (context.kind === 'upload') {
      if (!session.supports(methods.upload)) throw invalid('the client announced an upload of its build context and serves none');
      const call = openBytes(session, methods.upload, { urlpath: [context.path], urlhost: [context.host] }, signal);
      call.endSending();
      return { kind: 'tar', stream: readableOf(call, "cannot read the client's build context") };
    }
    const ignoreFile =
      name === mainContext
        ? await this.#mainIgnoreFile(session, context.folder, signal)
        : await readIgnoreFile(session, context.folder, signal);
    return {
      kind: 'sync',
      sync: openFolder(
        session,
        {
          name: context.folder,
          excludePatterns: ignoreFile === null ? [] : patternsOf(ignoreFile),
          sharedKey: session.sharedKey === '' ? null : `${session.sharedKey}:${context.folder}`,
        },
        signal,
      ),
    };
  }

  async secret(id: string, signal: AbortSignal): Promise<Uint8Array | null> {
    const read = await this.#ask(methods.secret, { type: GetSecretRequest, value: { id } }, GetSecretResponse, signal);
    if (read !== null && read.data.length > secretLimitBytes)
      throw invalid(`the secret ${JSON.stringify(id)} is larger than ${secretLimitBytes} bytes, the limit`);
    return read?.data ?? null;
  }

  async hasSshAgent(id: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#ask(methods.checkAgent, { type: CheckAgentRequest, value: { id } }, Empty, signal)) !== null;
  }

  async connectSshAgent(id: string, signal: AbortSignal): Promise<Duplex> {
    const session = await this.#session(signal);
    if (!session.supports(methods.forwardAgent)) throw invalid(`the client forwards no SSH agent ${JSON.stringify(id)}: use --ssh`);
    const call = openBytes(session, methods.forwardAgent, { 'buildkit.ssh.id': [id] }, signal);
    return duplexOf(call, "cannot reach the client's SSH agent");
  }

  async credentials(registry: string, signal: AbortSignal): Promise<RegistryCredentials | null> {
    const host = registry === 'docker.io' ? hubHost : registry;
    const found = await this.#ask(methods.credentials, { type: CredentialsRequest, value: { host } }, CredentialsResponse, signal);
    if (found === null || (found.username === '' && found.secret === '')) return null;
    if (found.username === '') return { kind: 'identity-token', token: found.secret };
    return { kind: 'basic', username: found.username, password: found.secret };
  }

  async output(id: number | string, signal: AbortSignal): Promise<Writable> {
    const session = await this.#session(signal);
    if (typeof id === 'string') {
      const gotIndex = ([descriptor]: LayoutIndex) => this.#options.gotCacheManifest(descriptor);
      return layoutWriter({ session, id }, gotIndex, signal);
    }
    const kind = this.#options.outputs[id] ?? null;
    if (kind === 'layout') return layoutWriter({ session, id: 'export' }, () => {}, signal);
    if (kind === null || !session.supports(methods.send)) throw invalid(`the client takes no output ${id}: it serves no ${methods.send}`);
    const metadata = { 'buildkit-attachable-exporter-id': [String(id)] };
    if (kind === 'stream') return writableOf(openBytes(session, methods.send, metadata, signal), "cannot write the client's output");
    return folderWriter(
      session.client.open(methods.send, PacketMessage, PacketMessage, { signal, metadata }),
      this.#options.scratchDirectory,
    );
  }

  #session(signal: AbortSignal, other: string | null = null): Promise<Session> {
    return this.#options.sessions.find(other ?? this.#options.session, signal);
  }

  async #mainIgnoreFile(session: Session, folder: string, signal: AbortSignal): Promise<string | null> {
    const dockerfile = await this.dockerfile(signal);
    return dockerfile === null ? await readIgnoreFile(session, folder, signal) : dockerfile.ignoreFile;
  }

  /** Null: the client does not serve that, or has none. */
  async #ask<Q, R>(
    method: string,
    request: { readonly type: MessageType<Q>; readonly value: Partial<Q> },
    response: MessageType<R>,
    signal: AbortSignal,
  ): Promise<R | null> {
    const session = await this.#session(signal);
    if (!session.supports(method)) return null;
    try {
      return await session.client.unary(method, request, response, { signal });
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      if (error.code === grpcCodes.notFound || error.code === grpcCodes.unimplemented) return null;
      if (error.code === grpcCodes.unavailable) throw new EngineError('unavailable', error.message);
      throw engineErrorOf(error, `the client did not answer ${method}`);
    }
  }
}
