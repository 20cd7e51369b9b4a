/**
 * The client of a build session as the builder sees it: each question is a stream of its own to the other side (wire/build-streams.ts), asked when the answer is needed.
 *
 *     {ask: 'dockerfile'}            ◀── JSON {name, text, ignoreFile} or null
 *     {ask: 'context', name}         ◀── JSON {kind: 'tar'} or {kind: 'files', sharedKey}; null: it has none of that name
 *     {ask: 'tar', name}             ◀── the archive
 *     {ask: 'list', name}            ◀── base/file-list.ts
 *     {ask: 'contents', name}        ──▶ indexes, be32 each   ◀── base/file-contents.ts
 *     {ask: 'secret', id}            ◀── bytes, or it fails with `not-found`
 *     {ask: 'has-ssh', id}           ◀── JSON true or false
 *     {ask: 'ssh', id}               ◀─▶ a connection to the agent
 *     {ask: 'credentials', registry} ◀── JSON of Docker's AuthConfig, or null
 *     {ask: 'output', id}            ──▶ bytes                ◀── the end, when they are where they belong
 */
import { type Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { EngineError, invalid, notFound } from '../../base/errors.ts';
import type { BuildClient, ContextTransfer, GivenDockerfile } from '../../build/build-client.ts';
import type { BuildEvent } from '../../build/build-event.ts';
import type { BuildStreams, SessionStream } from '../../wire/build-streams.ts';
import { parseJsonText } from '../../wire/json-text.ts';
import { credentialsOf } from '../registry-auth.ts';
import { eventJson } from './event-json.ts';
import { JsonFields } from './json-fields.ts';

const DOCKERFILE_BYTES = 32 * 1024 * 1024;
const SECRET_BYTES = 1024 * 1024;
const ANSWER_BYTES = 1024 * 1024;
/** Logs beyond it are left out for a client that does not read them; everything else is told. */
const BACKLOG_BYTES = 8 * 1024 * 1024;

export class SessionClient implements BuildClient {
  readonly #streams: BuildStreams;
  #leftOut: { readonly event: Extract<BuildEvent, { kind: 'log' }>; bytes: number } | null = null;

  constructor(streams: BuildStreams) {
    this.#streams = streams;
  }

  report(event: BuildEvent): void {
    if (event.kind === 'log' && this.#streams.backlogBytes > BACKLOG_BYTES) {
      this.#leftOut = { event, bytes: (this.#leftOut?.bytes ?? 0) + event.bytes.length };
      return;
    }
    this.#tellLeftOut();
    this.#streams.send(eventJson(event));
  }

  async dockerfile(signal: AbortSignal): Promise<GivenDockerfile | null> {
    const answer = await this.#answer({ ask: 'dockerfile' }, DOCKERFILE_BYTES, signal);
    if (answer === null) return null;
    const fields = new JsonFields(answer, 'dockerfile');
    return {
      name: fields.text('name'),
      text: Buffer.from(fields.text('text'), 'base64'),
      ignoreFile: fields.textOrNull('ignoreFile'),
    };
  }

  async context(name: string, signal: AbortSignal): Promise<ContextTransfer> {
    const answer = await this.#answer({ ask: 'context', name }, ANSWER_BYTES, signal);
    if (answer === null) throw notFound(`the client has no build context ${JSON.stringify(name)}`);
    const fields = new JsonFields(answer, 'context');
    if (fields.oneOf('kind', ['tar', 'files']) === 'tar') return { kind: 'tar', stream: this.#ask({ ask: 'tar', name }, signal) };
    const sharedKey = fields.textOrNull('sharedKey');
    return {
      kind: 'file-list',
      list: {
        sharedKey,
        entries: () => this.#ask({ ask: 'list', name }, signal),
        contents: (wanted) => this.#contents(name, wanted, signal),
        finish: async () => {},
      },
    };
  }

  async secret(id: string, signal: AbortSignal): Promise<Uint8Array | null> {
    try {
      return await collect(this.#ask({ ask: 'secret', id }, signal), SECRET_BYTES, `the secret ${JSON.stringify(id)}`);
    } catch (error) {
      if (error instanceof EngineError && error.code === 'not-found') return null;
      throw error;
    }
  }

  async hasSshAgent(id: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#answer({ ask: 'has-ssh', id }, ANSWER_BYTES, signal)) === true;
  }

  async connectSshAgent(id: string, signal: AbortSignal): Promise<SessionStream> {
    return this.#ask({ ask: 'ssh', id }, signal);
  }

  async credentials(registry: string, signal: AbortSignal) {
    const answer = await this.#answer({ ask: 'credentials', registry }, ANSWER_BYTES, signal);
    if (answer === null) return null;
    if (typeof answer !== 'object') throw invalid(`the client's credentials for ${registry} are not an object`);
    return credentialsOf(answer);
  }

  async output(id: number | string, signal: AbortSignal): Promise<Writable> {
    return outputOf(this.#ask({ ask: 'output', id }, signal));
  }

  #contents(name: string, wanted: readonly number[], signal: AbortSignal): Readable {
    const stream = this.#ask({ ask: 'contents', name }, signal);
    const bytes = Buffer.alloc(wanted.length * 4);
    for (const [at, index] of wanted.entries()) bytes.writeUInt32BE(index, at * 4);
    stream.end(bytes);
    return stream;
  }

  #ask(question: unknown, signal: AbortSignal): SessionStream {
    signal.throwIfAborted();
    const stream = this.#streams.open(question);
    const onAbort = () => stream.destroy(signal.reason instanceof Error ? signal.reason : undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    stream.once('close', () => signal.removeEventListener('abort', onAbort));
    return stream;
  }

  async #answer(question: unknown, limitBytes: number, signal: AbortSignal): Promise<unknown> {
    const bytes = await collect(this.#ask(question, signal), limitBytes, "the client's answer");
    return parseJsonText(bytes.toString('utf8'), "the client's answer");
  }

  #tellLeftOut(): void {
    if (this.#leftOut === null) return;
    const { event, bytes } = this.#leftOut;
    this.#leftOut = null;
    const text = `[gantry: ${bytes} bytes of output are left out: this client reads too slowly]\n`;
    this.#streams.send(eventJson({ ...event, stream: 'stderr', bytes: Buffer.from(text) }));
  }
}

async function collect(stream: SessionStream, limitBytes: number, what: string): Promise<Buffer> {
  stream.end();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    sizeBytes += (chunk as Buffer).length;
    if (sizeBytes > limitBytes) throw invalid(`${what} is larger than ${limitBytes} bytes, the limit`);
  }
  return Buffer.concat(chunks);
}

/** Finished when the other side has said that everything is where it belongs. */
function outputOf(stream: SessionStream): Writable {
  stream.resume();
  const output = new Writable({
    highWaterMark: 1024 * 1024,
    write: (chunk, encoding, done) => void stream.write(chunk, encoding, (error) => done(error ?? null)),
    final(done) {
      stream.end();
      finished(stream).then(() => done(), done);
    },
    destroy(error, done) {
      stream.destroy(error ?? undefined);
      done(error);
    },
  });
  stream.once('error', (error) => output.destroy(error));
  return output;
}
