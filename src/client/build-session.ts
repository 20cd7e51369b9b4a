/**
 * A build by the daemon's own protocol, from this side: sends the request, answers the daemon's questions (api/build-session/session-client.ts lists them), tells the events. Files are
 * read and sent only when they are asked for, many in one stream; secrets only when a step wants them.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EngineError, errorText, invalid, notFound } from '../base/errors.ts';
import { MAXIMUM_PIECE_BYTES, pieceHeader } from '../base/file-contents.ts';
import { encodeFileList, type ListedFile } from '../base/file-list.ts';
import { BuildStreams, type SessionStream } from '../wire/build-streams.ts';
import type { ApiClient } from './api-client.ts';
import {
  BuildFailedError,
  type BuildProgress,
  type BuildRequestBody,
  type BuildResult,
  type BuildSide,
  type FailedBuild,
  type LocalContext,
  type LocalFiles,
} from './build-types.ts';

/** Small files go together, in writes of about this. */
const BATCH_BYTES = 256 * 1024;

/** Rejects with a `BuildFailedError` when the build failed, with an `ApiError` when it was not begun. A signal that aborts cancels it. */
export async function startBuild(api: ApiClient, request: BuildRequestBody, side: BuildSide, signal: AbortSignal): Promise<BuildResult> {
  const { stream } = await api.hijack('/gantry/build', { json: request, protocol: 'gantry-build', signal });
  const outcome = Promise.withResolvers<BuildResult>();
  const answers = new Answers(side);
  const streams = new BuildStreams(stream, {
    opened: (question, asked) => void answers.answer(question, asked),
    message: (value) => take(value as SessionMessage, side, outcome),
    closed: (error) =>
      outcome.reject(new EngineError('unavailable', 'the daemon ended the build before its end: see its log', { cause: error })),
  });
  const onAbort = () => {
    outcome.reject(signal.reason);
    streams.close(new EngineError('unavailable', 'the build was cancelled'));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  stream.resume();
  try {
    return await outcome.promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    streams.end();
  }
}

type SessionMessage =
  | { readonly event: JsonEvent }
  | { readonly result: BuildResult }
  | { readonly code: string; readonly failure: FailedBuild };

type Outcome = ReturnType<typeof Promise.withResolvers<BuildResult>>;

function take(message: SessionMessage, side: BuildSide, outcome: Outcome): void {
  if ('event' in message) side.onEvent(eventOf(message.event));
  else if ('result' in message) outcome.resolve(message.result);
  else if ('failure' in message) outcome.reject(new BuildFailedError(message.failure));
}

/** Times are text and bytes are base64. */
type JsonEvent =
  | Exclude<BuildProgress, { kind: 'vertex' | 'status' | 'log' }>
  | { readonly kind: 'vertex'; readonly vertex: { readonly startedAt?: string; readonly completedAt?: string } }
  | { readonly kind: 'status'; readonly status: { readonly startedAt: string; readonly completedAt?: string } }
  | { readonly kind: 'log'; readonly vertex: string; readonly stream: 'stdout' | 'stderr'; readonly bytes: string; readonly at: string };

function eventOf(event: JsonEvent): BuildProgress {
  switch (event.kind) {
    case 'vertex':
      return { ...event, vertex: { ...event.vertex, ...timesOf(event.vertex) } } as BuildProgress;
    case 'status':
      return { ...event, status: { ...event.status, ...timesOf(event.status) } } as BuildProgress;
    case 'log':
      return { ...event, bytes: Buffer.from(event.bytes, 'base64'), at: new Date(event.at) };
    default:
      return event;
  }
}

function timesOf({ startedAt, completedAt }: { readonly startedAt?: string; readonly completedAt?: string }) {
  return {
    ...(startedAt === undefined ? {} : { startedAt: new Date(startedAt) }),
    ...(completedAt === undefined ? {} : { completedAt: new Date(completedAt) }),
  };
}

interface Question {
  readonly ask: string;
  readonly name?: string;
  readonly id?: string | number;
  readonly registry?: string;
}

class Answers {
  readonly #side: BuildSide;
  /** By context: what was listed, in the order of the daemon's indexes. */
  readonly #listed = new Map<string, readonly ListedFile[]>();

  constructor(side: BuildSide) {
    this.#side = side;
  }

  /** What goes wrong here is told to the daemon, which fails the step that asked. */
  async answer(question: unknown, stream: SessionStream): Promise<void> {
    try {
      await this.#answer(question as Question, stream);
    } catch (error) {
      stream.destroy(error instanceof EngineError ? error : new EngineError('invalid', errorText(error), { cause: error }));
    }
  }

  async #answer({ ask, name = '', id = '', registry = '' }: Question, stream: SessionStream): Promise<void> {
    const side = this.#side;
    switch (ask) {
      case 'dockerfile':
        return answerJson(stream, this.#dockerfile());
      case 'context':
        return answerJson(stream, this.#context(name));
      case 'tar':
        return await this.#tar(name, stream);
      case 'list':
        return await this.#list(name, stream);
      case 'contents':
        return await this.#contents(name, stream);
      case 'secret':
        return await this.#secret(String(id), stream);
      case 'has-ssh':
        return answerJson(stream, side.hasSshAgent(String(id)));
      case 'ssh':
        return await connect(stream, await side.connectSshAgent(String(id)));
      case 'credentials':
        return answerJson(stream, await side.credentials(registry));
      case 'output':
        return await receive(stream, await side.output(id));
      default:
        throw new EngineError(
          'not-implemented',
          `this client does not know the question ${JSON.stringify(ask)}: it is older than the daemon`,
        );
    }
  }

  #dockerfile() {
    const { dockerfile } = this.#side;
    return dockerfile === null ? null : { ...dockerfile, text: Buffer.from(dockerfile.text).toString('base64') };
  }

  #context(name: string) {
    const context = this.#side.contexts.get(name);
    if (context === undefined) return null;
    return context.kind === 'tar' ? { kind: 'tar' } : { kind: 'files', sharedKey: context.files.sharedKey };
  }

  #found<K extends LocalContext['kind']>(name: string, kind: K): Extract<LocalContext, { kind: K }> {
    const context = this.#side.contexts.get(name);
    if (context === undefined || context.kind !== kind) throw notFound(`there is no build context ${JSON.stringify(name)} of that kind`);
    return context as Extract<LocalContext, { kind: K }>;
  }

  async #tar(name: string, stream: SessionStream): Promise<void> {
    stream.resume();
    await pipeline(this.#found(name, 'tar').stream, stream);
  }

  async #list(name: string, stream: SessionStream): Promise<void> {
    stream.resume();
    const { files } = this.#found(name, 'files');
    const listed: ListedFile[] = [];
    for await (const batch of files.entries()) {
      listed.push(...batch);
      await written(stream, encodeFileList(batch));
    }
    this.#listed.set(name, listed);
    stream.end();
  }

  async #contents(name: string, stream: SessionStream): Promise<void> {
    const { files } = this.#found(name, 'files');
    const listed = this.#listed.get(name) ?? [];
    const chunks: Buffer[] = [];
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    const sender = new ContentsSender(stream);
    for (let at = 0; at + 4 <= bytes.length && !stream.destroyed; at += 4) {
      const index = bytes.readUInt32BE(at);
      const entry = listed[index];
      if (entry === undefined) throw invalid(`the daemon asks for a file (${index}) that was not listed`);
      await sender.send(index, files, entry);
    }
    await sender.flush();
    stream.end();
  }

  async #secret(id: string, stream: SessionStream): Promise<void> {
    const secret = await this.#side.secret(id);
    if (secret === null) throw notFound(`there is no secret ${JSON.stringify(id)}`);
    stream.resume();
    stream.end(secret);
  }
}

function answerJson(stream: SessionStream, value: unknown): void {
  stream.resume();
  stream.end(JSON.stringify(value));
}

async function connect(stream: SessionStream, agent: import('node:stream').Duplex): Promise<void> {
  await Promise.all([pipeline(stream, agent, { end: true }), pipeline(agent, stream, { end: true })]);
}

/** The daemon takes our end for "everything is where it belongs". */
async function receive(stream: SessionStream, sink: Writable): Promise<void> {
  await pipeline(stream, sink);
  stream.end();
}

async function written(stream: Writable, bytes: Uint8Array): Promise<void> {
  if (!stream.destroyed && !stream.write(bytes)) await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
}

class ContentsSender {
  readonly #stream: SessionStream;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;

  constructor(stream: SessionStream) {
    this.#stream = stream;
  }

  /** One chunk is held back, as only the next one tells whether it was the last. */
  async send(index: number, files: LocalFiles, entry: ListedFile): Promise<void> {
    let held: Uint8Array = new Uint8Array(0);
    for await (const chunk of files.read(entry)) {
      if (held.length > 0) this.#add(index, held, false);
      held = chunk;
      if (this.#batchBytes >= BATCH_BYTES) await this.flush();
      if (this.#stream.destroyed) return;
    }
    this.#add(index, held, true);
    if (this.#batchBytes >= BATCH_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    const isSmall = batch.length > 2;
    this.#batch = [];
    this.#batchBytes = 0;
    // Many small pieces are cheaper to copy once than to carry one by one.
    if (isSmall) await written(this.#stream, Buffer.concat(batch));
    else {
      const [header, piece] = batch;
      if (header !== undefined) this.#stream.write(header);
      if (piece !== undefined) await written(this.#stream, piece);
    }
  }

  #add(index: number, bytes: Uint8Array, isLast: boolean): void {
    let at = 0;
    do {
      const piece = bytes.subarray(at, at + MAXIMUM_PIECE_BYTES);
      at += piece.length;
      this.#batch.push(pieceHeader(index, piece.length, isLast && at >= bytes.length), piece);
      this.#batchBytes += piece.length + 8;
    } while (at < bytes.length);
  }
}
