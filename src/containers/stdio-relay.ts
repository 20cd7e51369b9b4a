/**
 * The client's end of an attachment. It exists before the process does (`docker run` attaches, then starts): what the client types is held back until there
 * is a stream of the runtime to give it to, and pushes back on the client meanwhile.
 *
 *   client ──write──▶ [detach keys] ──▶ runtime stream (stdin)
 *   client ◀──read─── [log replay, once] ◀── runtime stream (frames, or raw with a terminal)
 *
 * Chunks are passed on as they are, never copied. When the output has ended and was read, the relay destroys itself; destroying it detaches the client and
 * changes nothing for the process.
 */
import { Duplex, type Readable } from 'node:stream';
import type { StdioStream } from '../runtime/runtime.ts';
import type { DetachScanner } from './detach-keys.ts';

export interface RelayOptions {
  /** False: what the client sends is read and dropped (the container has no stdin, or the client did not ask for it). */
  readonly stdin: boolean;
  readonly detach: DetachScanner | null;
  readonly onDetach: () => void;
  /** The client sees the end of the output only after this: an exec's exit code is known by then. */
  readonly ended: Promise<unknown> | null;
}

export class StdioRelay extends Duplex {
  readonly #options: RelayOptions;
  #target: StdioStream | null = null;
  #source: Readable | null = null;
  #heldWrite: (() => void) | null = null;
  #inputEnded = false;

  constructor(options: RelayOptions) {
    super({ allowHalfOpen: true });
    this.#options = options;
    this.once('end', () => this.destroy());
  }

  /** True when the client closed its side (or never had one). */
  get inputEnded(): boolean {
    return this.#inputEnded;
  }

  get connected(): boolean {
    return this.#target !== null;
  }

  /** Joins the relay to the process. A client that is gone already leaves the stream at once. */
  connect(target: StdioStream): void {
    if (this.destroyed) {
      target.destroy();
      return;
    }
    this.#target = target;
    this.#readFrom(target, () => this.#endOutput());
    const held = this.#heldWrite;
    this.#heldWrite = null;
    if (held !== null) held();
    if (this.#inputEnded && this.#options.stdin) target.end();
  }

  /** Delivers `source` to the client before anything of the process. */
  async replay(source: Readable): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#readFrom(source, () => done.resolve());
    this.once('close', () => {
      source.destroy();
      done.resolve();
    });
    await done.promise;
    this.#source = null;
  }

  /** There will be no (more) output: a start that failed, a replay without a stream, a container removed before it ran. */
  finish(): void {
    if (this.#target === null && !this.destroyed) this.push(null);
  }

  override _read(): void {
    this.#source?.resume();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: () => void): void {
    if (!this.#options.stdin) callback();
    else if (this.#target === null) this.#heldWrite = () => this.#passOn(chunk, callback);
    else this.#passOn(chunk, callback);
  }

  override _final(callback: () => void): void {
    this.#inputEnded = true;
    if (this.#options.stdin && this.#target !== null) {
      const held = this.#options.detach?.flush();
      if (held !== undefined && held.length > 0) this.#target.write(held);
      this.#target.end();
    }
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#target?.destroy();
    callback(error);
  }

  #passOn(chunk: Uint8Array, callback: () => void): void {
    const target = this.#target;
    // A process that closed its stdin is no reason to lose its output: what is typed then goes nowhere, as on a pipe nobody reads.
    if (target?.writable) this.#passToProcess(target, chunk, callback);
    else callback();
  }

  #passToProcess(target: StdioStream, chunk: Uint8Array, callback: () => void): void {
    const { passed, detached } = this.#options.detach?.scan(chunk) ?? { passed: [chunk], detached: false };
    let room = true;
    for (const piece of passed) room = target.write(piece);
    if (detached) this.#detachNow(callback);
    else if (room) callback();
    else this.#onceWritable(target, callback);
  }

  #onceWritable(target: StdioStream, callback: () => void): void {
    const settle = () => {
      target.off('drain', settle);
      target.off('close', settle);
      callback();
    };
    target.on('drain', settle);
    target.on('close', settle);
  }

  #endOutput(): void {
    const { ended } = this.#options;
    const end = () => {
      if (!this.destroyed) this.push(null);
    };
    if (ended === null) end();
    else void ended.then(end, end);
  }

  #detachNow(callback: () => void): void {
    const target = this.#target;
    this.#target = null;
    this.#source = null;
    // What was typed before the keys still reaches the process: the stream is ended only on our side once it was written.
    if (target !== null && target.writableLength > 0) target.once('drain', () => target.destroy());
    else target?.destroy();
    this.#options.onDetach();
    this.push(null);
    callback();
  }

  #readFrom(source: Readable, onEnd: () => void): void {
    this.#source = source;
    source.on('data', (chunk: Uint8Array) => {
      if (this.#source === source && !this.push(chunk)) source.pause();
    });
    source.once('end', () => {
      if (this.#source === source) onEnd();
    });
    source.on('error', (error) => this.destroy(error));
    // A socket with nothing buffered tells its end unasked, and that may have been before we listened.
    if (source.readableEnded || source.destroyed) {
      queueMicrotask(() => {
        if (this.#source === source) onEnd();
      });
      return;
    }
    // Cut off without an end: the client must see an end too, or it would wait for ever.
    source.once('close', () => {
      if (this.#source === source && !source.readableEnded) onEnd();
    });
  }
}
