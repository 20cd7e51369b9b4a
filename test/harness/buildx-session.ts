/** The client's side of a BuildKit session, served by gRPC's own library: files of folders (fsutil's sender), outputs (its receiver), secrets, an SSH agent, uploads, credentials. */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import {
  type GrpcObject,
  loadPackageDefinition,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerWritableStream,
  type ServiceClientConstructor,
  status,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { IgnorePatterns } from '../../src/archive/ignore-patterns.ts';

const protocol = join(import.meta.dirname, 'buildkit-protocol');
const names = ['control', 'gateway', 'filesync', 'secrets', 'ssh', 'upload', 'health', 'content'].map((name) => `${name}.proto`);
const definitions = loadSync(names, { keepCase: true, longs: Number, defaults: true, includeDirs: [protocol] });
export const buildKitPackages = loadPackageDefinition(definitions);

/** `moby.filesync.v1.FileSync` */
export function serviceNamed(path: string): ServiceClientConstructor {
  return path.split('.').reduce<unknown>((object, name) => (object as GrpcObject)[name], buildKitPackages) as ServiceClientConstructor;
}

export interface SessionContent {
  /** `context`, `dockerfile` or another name → a folder. */
  readonly folders: Readonly<Record<string, string>>;
  readonly secrets?: Readonly<Record<string, Uint8Array>>;
  /** id → the path of an agent's socket. */
  readonly agents?: Readonly<Record<string, string>>;
  /** Path of an upload URL → a tar. */
  readonly uploads?: Readonly<Record<string, Uint8Array>>;
  readonly credentials?: Readonly<Record<string, { readonly username: string; readonly secret: string }>>;
  /** Number of the exporter → the folder, or the file, that it goes to. */
  readonly outputFolders?: Readonly<Record<number, string>>;
  readonly outputFiles?: Readonly<Record<number, string>>;
  /** Name of a store (`local:/path`, `export`) → the folder of an OCI layout. */
  readonly stores?: Readonly<Record<string, string>>;
  /** Sent behind those of every folder: what a client that is up to something would send. */
  readonly extraEntries?: readonly { readonly path: string; readonly mode: number; readonly size: number }[];
}

/** What the daemon asked for, for assertions. */
export interface SessionTrace {
  readonly folders: {
    readonly name: string;
    readonly follow: readonly string[];
    readonly exclude: readonly string[];
    readonly wanted: string[];
  }[];
  readonly hosts: string[];
  readonly secrets: string[];
}

export interface SessionServer {
  readonly methods: readonly string[];
  readonly trace: SessionTrace;
  serve(connection: Socket): void;
  close(): void;
}

interface Packet {
  readonly type: number;
  readonly stat?: { path: Buffer; mode: number; size: number; modTime: string; linkname: Buffer } | null;
  readonly ID?: number;
  readonly data?: Buffer;
}

type PacketStream = ServerDuplexStream<Packet, Packet>;
type BytesStream = ServerDuplexStream<{ readonly data: Buffer }, { readonly data: Buffer }>;

const goDirectory = 2 ** 31;
const goSymlink = 2 ** 27;

export function createSessionServer(content: SessionContent): SessionServer {
  const server = new Server();
  const trace: SessionTrace = { folders: [], hosts: [], secrets: [] };
  const methods: string[] = [];
  const add = (service: string, handlers: Readonly<Record<string, UntypedHandleCall>>) => {
    server.addService(serviceNamed(service).service, handlers);
    methods.push(...Object.keys(handlers).map((name) => `/${service}/${name}`));
  };
  add('moby.filesync.v1.FileSync', { DiffCopy: (stream: PacketStream) => void sendFolder(stream, content, trace) });
  add('grpc.health.v1.Health', { Check: (_call: unknown, answer: (error: null, value: object) => void) => answer(null, { status: 1 }) });
  add('moby.filesync.v1.Auth', {
    Credentials(call: { request: { Host: string } }, answer: (error: null, value: object) => void) {
      trace.hosts.push(call.request.Host);
      const { username = '', secret = '' } = content.credentials?.[call.request.Host] ?? {};
      answer(null, { Username: username, Secret: secret });
    },
  });
  if (content.secrets !== undefined)
    add('moby.buildkit.secrets.v1.Secrets', {
      GetSecret(call: { request: { ID: string } }, answer: (error: object | null, value?: object) => void) {
        trace.secrets.push(call.request.ID);
        const data = content.secrets?.[call.request.ID];
        if (data === undefined) answer({ code: status.NOT_FOUND, details: `secret ${call.request.ID} not found` });
        else answer(null, { data });
      },
    });
  if (content.agents !== undefined)
    add('moby.sshforward.v1.SSH', {
      CheckAgent(call: { request: { ID: string } }, answer: (error: object | null, value?: object) => void) {
        if (content.agents?.[call.request.ID] === undefined) answer({ code: status.NOT_FOUND, details: 'unset ssh forward key' });
        else answer(null, {});
      },
      ForwardAgent: (stream: BytesStream) =>
        forwardAgent(stream, content.agents?.[String(stream.metadata.get('buildkit.ssh.id')[0])] ?? ''),
    });
  if (content.uploads !== undefined)
    add('moby.upload.v1.Upload', {
      async Pull(stream: BytesStream) {
        const data = content.uploads?.[String(stream.metadata.get('urlpath')[0])];
        if (data === undefined) return void stream.emit('error', { code: status.NOT_FOUND, details: 'no such upload' });
        for (let at = 0; at < data.length; at += 32 * 1024) stream.write({ data: Buffer.from(data.subarray(at, at + 32 * 1024)) });
        stream.end();
      },
    });
  if (content.stores !== undefined) add('containerd.services.content.v1.Content', contentHandlers(content.stores));
  if (content.outputFolders !== undefined || content.outputFiles !== undefined) addFileSend(server, content, methods);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return { methods, trace, serve: (connection) => injector.injectConnection(connection), close: () => server.forceShutdown() };
}

/** containerd's local store, as far as blobs of one folder go: a write is kept when its digest is right. */
function contentHandlers(stores: Readonly<Record<string, string>>): Readonly<Record<string, UntypedHandleCall>> {
  const pathOf = (metadata: Metadata, digest: string) =>
    join(stores[String(metadata.get('buildkit-attachable-store-id')[0])] ?? '/nowhere', 'blobs/sha256', digest.replace('sha256:', ''));
  return {
    Info(call: { request: { digest: string }; metadata: Metadata }, answer: (error: object | null, value?: object) => void) {
      const stats = lstatSync(pathOf(call.metadata, call.request.digest), { throwIfNoEntry: false });
      if (stats === undefined) answer({ code: status.NOT_FOUND, details: `content ${call.request.digest}: not found` });
      else answer(null, { info: { digest: call.request.digest, size: stats.size } });
    },
    async Read(stream: ServerWritableStream<{ digest: string }, { offset: number; data: Buffer }>) {
      let offset = 0;
      for await (const data of createReadStream(pathOf(stream.metadata, stream.request.digest))) {
        stream.write({ offset, data });
        offset += data.length;
      }
      stream.end();
    },
    Write(stream: ServerDuplexStream<{ action: number; total: number; expected: string; offset: number; data: Buffer }, object>) {
      const chunks: Buffer[] = [];
      let size = 0;
      stream.on('data', ({ action, total, expected, offset, data }) => {
        const path = pathOf(stream.metadata, expected);
        if (existsSync(path))
          return stream.emit('error', { code: status.ALREADY_EXISTS, details: `content ${expected} on remote: already exists` });
        if (offset !== size) return stream.emit('error', { code: status.OUT_OF_RANGE, details: `offset ${offset}, not ${size}` });
        chunks.push(data);
        size += data.length;
        if (action === 2) {
          const bytes = Buffer.concat(chunks);
          const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
          if (digest !== expected || size !== total)
            return stream.emit('error', { code: status.FAILED_PRECONDITION, details: `got ${digest}, ${size} bytes` });
          mkdirSync(join(path, '..'), { recursive: true });
          writeFileSync(path, bytes);
        }
        stream.write({ action, offset: size, total });
        if (action === 2) stream.end();
        return true;
      });
    },
  };
}

/** One method, two kinds of messages: which one is known from the exporter's number. */
function addFileSend(server: Server, content: SessionContent, methods: string[]): void {
  const path = '/moby.filesync.v1.FileSend/DiffCopy';
  const { requestDeserialize, responseSerialize } = serviceNamed('moby.filesync.v1.FileSync').service.DiffCopy as never as {
    requestDeserialize: (bytes: Buffer) => Packet;
    responseSerialize: (packet: Packet) => Buffer;
  };
  const bytes = serviceNamed('moby.upload.v1.Upload').service.Pull as never as { requestDeserialize: (bytes: Buffer) => { data: Buffer } };
  const raw = {
    path,
    requestStream: true,
    responseStream: true,
    requestDeserialize: (b: Buffer) => b,
    responseSerialize: (b: Buffer) => b,
  };
  server.addService({ DiffCopy: { ...raw, requestSerialize: (b: Buffer) => b, responseDeserialize: (b: Buffer) => b } } as never, {
    DiffCopy(stream: ServerDuplexStream<Buffer, Buffer>) {
      const id = Number(stream.metadata.get('buildkit-attachable-exporter-id')[0]);
      const folder = content.outputFolders?.[id];
      if (folder !== undefined) void receiveFolder(stream, folder, requestDeserialize, responseSerialize);
      else void receiveFile(stream, content.outputFiles?.[id] ?? '', bytes.requestDeserialize);
    },
  });
  methods.push(path);
}

async function receiveFile(
  stream: ServerDuplexStream<Buffer, Buffer>,
  path: string,
  parse: (bytes: Buffer) => { data: Buffer },
): Promise<void> {
  const file = createWriteStream(path);
  for await (const message of stream.iterator({ destroyOnReturn: false })) file.write(parse(message as Buffer).data);
  file.end();
  await finished(file);
  stream.end();
}

/** fsutil's receiver, as far as plain files, folders and links go: asks for every regular file once it knows all of them. */
async function receiveFolder(
  stream: ServerDuplexStream<Buffer, Buffer>,
  folder: string,
  parse: (bytes: Buffer) => Packet,
  encode: (packet: Packet) => Buffer,
): Promise<void> {
  const entries: NonNullable<Packet['stat']>[] = [];
  const files = new Map<number, Buffer[]>();
  let missing = 0;
  for await (const message of stream.iterator({ destroyOnReturn: false })) {
    const { type, stat, ID = 0, data = Buffer.alloc(0) } = parse(message as Buffer);
    if (type === 0 && stat) entries.push(stat);
    else if (type === 0) {
      for (const [id, entry] of entries.entries()) {
        const path = join(folder, entry.path.toString());
        if (entry.mode >= goDirectory) mkdirSync(path, { recursive: true });
        else if ((entry.mode & goSymlink) !== 0) symlinkSync(entry.linkname.toString(), path);
        else if (entry.linkname.length > 0) writeFileSync(path, `link to ${entry.linkname}`);
        else {
          files.set(id, []);
          missing += 1;
          stream.write(encode({ type: 1, ID: id }));
        }
      }
      if (missing === 0) stream.write(encode({ type: 3 }));
    } else if (type === 2 && data.length > 0) files.get(ID)?.push(data);
    else if (type === 2) {
      writeFileSync(join(folder, entries[ID]?.path.toString() ?? ''), Buffer.concat(files.get(ID) ?? []), {
        mode: (entries[ID]?.mode ?? 0) & 0o777,
      });
      missing -= 1;
      if (missing === 0) stream.write(encode({ type: 3 }));
    } else if (type === 3) break;
  }
  stream.end();
}

function forwardAgent(stream: BytesStream, path: string): void {
  const agent = connect(path);
  agent.on('data', (data: Buffer) => stream.write({ data }));
  agent.on('end', () => stream.end());
  agent.on('error', () => stream.end());
  stream.on('data', ({ data }: { data: Buffer }) => agent.write(data));
  stream.on('end', () => agent.end());
  stream.on('error', () => agent.destroy());
}

/** Node joins values of a header that comes several times. */
function metadataList(metadata: Metadata, key: string): readonly string[] {
  const values = metadata.get(key).flatMap((value) => String(value).split(', '));
  if (metadata.get(`${key}-encoded`)[0] !== '1') return values;
  return values.map((value) => decodeURIComponent(value.replaceAll('+', ' ')));
}

async function sendFolder(stream: PacketStream, content: SessionContent, trace: SessionTrace): Promise<void> {
  const name = String(stream.metadata.get('dir-name')[0] ?? '');
  const folder = content.folders[name];
  const follow = metadataList(stream.metadata, 'followpaths');
  const exclude = metadataList(stream.metadata, 'exclude-patterns');
  const wanted: string[] = [];
  trace.folders.push({ name, follow, exclude, wanted });
  if (folder === undefined) {
    stream.emit('error', { code: status.NOT_FOUND, details: `no access allowed to dir "${name}"` });
    return;
  }
  const paths = [...walk(folder, '', IgnorePatterns.parse(exclude.join('\n')))].filter(
    (path) => follow.length === 0 || isFollowed(path, follow),
  );
  for (const path of paths) stream.write({ type: 0, stat: statOf(folder, path) });
  for (const { path, mode, size } of content.extraEntries ?? [])
    stream.write({ type: 0, stat: { path: Buffer.from(path), mode, size, modTime: '0', linkname: Buffer.alloc(0) } });
  stream.write({ type: 0 });
  for await (const packet of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Packet>) {
    if (packet.type === 1) {
      const path = paths[packet.ID ?? 0] ?? '';
      wanted.push(path);
      for await (const data of createReadStream(join(folder, path), { highWaterMark: 32 * 1024 }))
        stream.write({ type: 2, ID: packet.ID ?? 0, data });
      stream.write({ type: 2, ID: packet.ID ?? 0 });
    } else if (packet.type === 3) {
      stream.write({ type: 3 });
      break;
    }
  }
  stream.end();
}

function isFollowed(path: string, follow: readonly string[]): boolean {
  return follow.some((wanted) => wanted === path || wanted.startsWith(`${path}/`));
}

function* walk(root: string, folder: string, patterns: IgnorePatterns, state = patterns.rootState): Generator<string> {
  for (const name of readdirSync(join(root, folder)).sort()) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const answer = patterns.look(path, state);
    const isFolder = lstatSync(join(root, path)).isDirectory();
    if (!answer.ignored) yield path;
    if (isFolder && (!answer.ignored || patterns.takesBackIn)) yield* walk(root, path, patterns, answer.state);
  }
}

function statOf(root: string, path: string): NonNullable<Packet['stat']> {
  const stats = lstatSync(join(root, path), { bigint: true });
  const kind = stats.isDirectory() ? goDirectory : stats.isSymbolicLink() ? goSymlink : 0;
  return {
    path: Buffer.from(path),
    mode: kind + Number(stats.mode & 0o777n),
    size: stats.isFile() ? Number(stats.size) : 0,
    modTime: String(stats.mtimeNs),
    linkname: Buffer.from(stats.isSymbolicLink() ? readlinkSync(join(root, path)) : ''),
  };
}
