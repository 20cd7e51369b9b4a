/**
 * Our three streams joined to a container's (attach, exec, run), until the container's output ends or the person detaches.
 *
 *   stdin ──(detach keys taken out)──▶ connection ──▶ container
 *   stdout ◀──┐
 *   stderr ◀──┴──(frames taken apart)── connection ◀── container
 *
 * Both directions wait for their receiver, so memory stays flat. The end of stdin half-closes the connection; output goes on.
 */
import type { Readable } from 'node:stream';
import { EngineError } from '../../base/errors.ts';
import type { StdioConnection } from '../../client/container-api.ts';
import { FrameDecoder } from '../../wire/stream-frames.ts';
import type { CliInput, CliIo, CliOutput } from '../cli-io.ts';
import { writeBytes } from '../output.ts';
import { DetachScanner } from './detach-keys.ts';
import { enterRawMode } from './raw-mode.ts';

export interface SessionOptions {
  readonly stdin: boolean;
  readonly tty: boolean;
  readonly detachKeys: Buffer;
}

export type SessionEnd = 'ended' | 'detached';

export class StdioSession implements Disposable {
  readonly #connection: StdioConnection;
  readonly #cleanups: (() => void)[] = [];
  /** Resolves at the end of the container's output, or when the person detached. */
  readonly end: Promise<SessionEnd>;

  constructor(connection: StdioConnection, io: CliIo, options: SessionOptions) {
    this.#connection = connection;
    const output = copyOutput(connection.stream, connection.framed, io).then((): SessionEnd => 'ended');
    this.end = options.stdin ? Promise.race([output, this.#copyInput(io.stdin, options)]) : output;
    // Whoever waits for the end hears of a failure; nobody may be waiting yet.
    this.end.catch(() => {});
    if (!options.stdin && !options.tty) connection.stream.end();
  }

  #copyInput(stdin: CliInput, { tty, detachKeys }: SessionOptions): Promise<SessionEnd> {
    const { stream } = this.#connection;
    const detached = Promise.withResolvers<SessionEnd>();
    const scanner = tty ? new DetachScanner(detachKeys) : null;
    if (tty) this.#cleanups.push(enterRawMode(stdin).restore);
    const onData = (chunk: Buffer): void => {
      const { pass, detached: isDetached } = scanner?.scan(chunk) ?? { pass: chunk, detached: false };
      if (pass.length > 0 && stream.writable && !stream.write(pass)) stdin.pause();
      if (isDetached) detached.resolve('detached');
    };
    const onDrain = (): void => void stdin.resume();
    const onEnd = (): void => void stream.end();
    stdin.on('data', onData);
    stdin.on('end', onEnd);
    // A terminal that was closed under us reads as an error: there is nothing more to send.
    stdin.on('error', onEnd);
    stream.on('drain', onDrain);
    if (stdin.readableEnded) stream.end();
    this.#cleanups.push(() => {
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      stream.off('drain', onDrain);
      releaseInput(stdin);
    });
    return detached.promise;
  }

  [Symbol.dispose](): void {
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    this.#connection.stream.destroy();
  }
}

/** A paused standard input must not keep the process alive. */
function releaseInput(stdin: CliInput): void {
  stdin.pause();
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
}

/** Reads to the end. Every piece is written before the next is read. */
export async function copyOutput(source: Readable, framed: boolean, io: CliIo): Promise<void> {
  if (!framed) {
    for await (const chunk of source as AsyncIterable<Buffer>) await writeBytes(io.stdout, chunk);
    return;
  }
  const sink = new FrameSink(io);
  for await (const chunk of source as AsyncIterable<Buffer>) {
    sink.push(chunk);
    await sink.drained();
  }
  sink.finish();
}

const MAX_ERROR_BYTES = 64 * 1024;

class FrameSink {
  readonly #io: CliIo;
  readonly #decoder: FrameDecoder;
  #pending: Promise<void>[] = [];
  #error: Buffer[] = [];

  constructor(io: CliIo) {
    this.#io = io;
    this.#decoder = new FrameDecoder((stream, payload) => this.#write(stream, payload));
  }

  push(chunk: Buffer): void {
    this.#decoder.push(chunk);
  }

  async drained(): Promise<void> {
    if (this.#pending.length > 0) await Promise.all(this.#pending.splice(0));
  }

  finish(): void {
    if (this.#error.length > 0)
      throw new EngineError('system', `error from daemon in stream: ${Buffer.concat(this.#error).toString('utf8')}`);
    if (!this.#decoder.atBoundary) throw new EngineError('unavailable', 'the daemon ended the stream in the middle of the output');
  }

  #write(stream: number, payload: Buffer): void {
    if (stream === 3) {
      if (this.#error.reduce((sum, part) => sum + part.length, 0) < MAX_ERROR_BYTES) this.#error.push(Buffer.from(payload));
      return;
    }
    const sink: CliOutput = stream === 2 ? this.#io.stderr : this.#io.stdout;
    const waiting = writeBytes(sink, payload);
    if (waiting !== undefined) this.#pending.push(waiting);
  }
}
