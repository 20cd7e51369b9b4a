/**
 * The bytes of a blob, read once in order and hashed on the way, from a file that is whole or from one that is still being written. For worker threads.
 *
 * Reads are taken one after the other even when their reader gave up in the middle, so that the rest can still be read for the digest.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { EngineError } from '../base/errors.ts';
import { GrowthReader } from './blob-growth.ts';
import type { UnpackControl } from './unpack-control.ts';

export interface BlobBytes extends Disposable {
  readonly doneBytes: number;
  /** Which of the file's beginnings is read; see `blob-growth.ts`. */
  readonly epoch: number;
  chunks(): AsyncIterable<Uint8Array>;
  /** Of all bytes; those that nobody read are read now. */
  digest(): Promise<string>;
}

export class Cancelled extends EngineError {
  constructor() {
    super('unavailable', 'unpacking was cancelled');
  }
}

/** What was read is worth nothing: the file began again. */
export class SourceRestarted extends Error {}

/** The file ends before its end. */
export class SourceEnded extends Error {}

const READ_BYTES = 256 * 1024;
/** Between looks at whether anybody still wants it. */
const WAIT_MS = 100;

abstract class HashedBytes implements BlobBytes {
  readonly #fd: number;
  readonly #control: UnpackControl;
  readonly #hash = createHash('sha256');
  #last: Promise<unknown> = Promise.resolve();
  #doneBytes = 0;
  #digest: string | null = null;
  #closed = false;

  constructor(path: string, control: UnpackControl) {
    this.#fd = openSync(path, 'r');
    this.#control = control;
  }

  abstract readonly epoch: number;

  /** How many bytes may be read beyond the offset; 0: that is the end. May take a while. */
  protected abstract readable(offset: number): Promise<number> | number;
  protected abstract totalBytes(): number;
  /** Throws when what was just read can't be trusted. */
  protected abstract check(): void;

  protected get fd(): number {
    return this.#fd;
  }

  protected stopWhenCancelled(): void {
    if (this.#control.isCancelled()) throw new Cancelled();
  }

  get doneBytes(): number {
    return this.#doneBytes;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let chunk = await this.#next(); chunk !== null; chunk = await this.#next()) yield chunk;
  }

  async digest(): Promise<string> {
    while ((await this.#next()) !== null);
    this.#digest ??= `sha256:${this.#hash.digest('hex')}`;
    return this.#digest;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    closeSync(this.#fd);
  }

  #next(): Promise<Uint8Array | null> {
    const next = this.#last.then(() => this.#read());
    this.#last = next.catch(() => {});
    return next;
  }

  async #read(): Promise<Uint8Array | null> {
    this.stopWhenCancelled();
    const readable = await this.readable(this.#doneBytes);
    // The number of the descriptor may be somebody else's by now.
    if (this.#closed) throw new Cancelled();
    if (readable === 0) return null;
    // A buffer of its own for every chunk: the decompressor may still hold the last one.
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, readable));
    const length = readSync(this.#fd, buffer, 0, buffer.length, this.#doneBytes);
    this.check();
    if (length === 0) return null;
    const chunk = buffer.subarray(0, length);
    this.#hash.update(chunk);
    this.#doneBytes += length;
    this.#control.progress(this.#doneBytes, this.totalBytes());
    return chunk;
  }
}

/** A file that is whole. */
export class FileBytes extends HashedBytes {
  readonly epoch = 0;
  readonly #sizeBytes: number;

  constructor(path: string, control: UnpackControl) {
    super(path, control);
    this.#sizeBytes = fstatSync(this.fd).size;
  }

  protected readable(): number {
    return READ_BYTES;
  }

  protected totalBytes(): number {
    return this.#sizeBytes;
  }

  protected check(): void {}
}

/** A file that is being written: waits for what is not there yet. */
export class GrowingBytes extends HashedBytes {
  readonly #growth: GrowthReader;
  readonly #sizeBytes: number;

  constructor(path: string, growing: { readonly shared: SharedArrayBuffer; readonly sizeBytes: number }, control: UnpackControl) {
    super(path, control);
    this.#growth = new GrowthReader(growing.shared);
    this.#sizeBytes = growing.sizeBytes;
  }

  get epoch(): number {
    return this.#growth.epoch;
  }

  protected async readable(offset: number): Promise<number> {
    for (;;) {
      const { bytes, state } = await this.#growth.beyond(offset, WAIT_MS);
      this.check();
      if (bytes > 0) return bytes;
      if (state === 'complete') return 0;
      if (state === 'failed') throw new SourceEnded();
      this.stopWhenCancelled();
    }
  }

  protected totalBytes(): number {
    return this.#sizeBytes;
  }

  protected check(): void {
    if (this.#growth.restarted) throw new SourceRestarted();
  }
}
