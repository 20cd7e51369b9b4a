/** The event loop's side of what a worker thread reads and writes: bytes go through pipes, and whoever is slower makes the other one wait. */
import { Socket } from 'node:net';
import { type Readable, Transform } from 'node:stream';
import { EngineError } from '../../base/errors.ts';
import { importStream } from '../../linux/pipe-streams.ts';
import type { ReceiveProgress } from './context-store.ts';

/** Ends with its own error when it is not the job that failed; with the signal's reason when that aborts. */
export async function throughPipe<T>(
  source: Readable,
  signal: AbortSignal,
  run: (readEnd: number, cancel: SharedArrayBuffer) => Promise<T>,
): Promise<T> {
  const outcome = Promise.withResolvers<T>();
  outcome.promise.catch(() => {});
  const onAbort = () => source.destroy(signal.reason instanceof Error ? signal.reason : new EngineError('unavailable', 'cancelled'));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await importStream(source, async (readEnd, cancel) => {
      const job = run(readEnd, cancel);
      job.then(outcome.resolve, outcome.reject);
      await job;
    });
    return await outcome.promise;
  } catch (error) {
    throw source.errored ?? error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    source.destroy();
  }
}

/** Sets the job's flag when `signal` aborts, and waits until it has ended. */
export async function whileWanted<T>(signal: AbortSignal, run: (cancel: SharedArrayBuffer) => Promise<T>): Promise<T> {
  const cancel = new SharedArrayBuffer(4);
  const onAbort = () => Atomics.store(new Int32Array(cancel), 0, 1);
  signal.throwIfAborted();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await run(cancel);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The source is not destroyed when the relay fails: its owner may have an answer to give on the same connection. */
export function relayInto(source: Readable, relay: Transform): void {
  const left = () => {
    if (!source.readableEnded)
      relay.destroy(source.errored ?? new EngineError('invalid', 'the build context ended before its end: the client went away'));
  };
  if (source.destroyed) left();
  source.once('error', left);
  source.once('close', left);
  relay.once('close', () => source.unpipe(relay));
  source.pipe(relay);
}

const TELL_EVERY_BYTES = 256 * 1024;

/** Passes bytes on, and tells how many they were. */
export function counter(progress: ReceiveProgress): Transform {
  let [received, told] = [0, 0];
  const relay = new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, done) {
      received += chunk.length;
      if (received - told >= TELL_EVERY_BYTES) {
        told = received;
        progress(received);
      }
      done(null, chunk);
    },
    flush(done) {
      if (received > told) progress(received);
      done();
    },
  });
  // It may fail before anybody reads it; whoever does is told then.
  return relay.on('error', () => {});
}

/** What `tellWanted` writes. */
export async function readWanted(readEnd: number): Promise<readonly number[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of new Socket({ fd: readEnd, readable: true, writable: false })) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readUInt32LE(index * 4));
}
