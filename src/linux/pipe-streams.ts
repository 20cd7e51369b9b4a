/**
 * Archives on their way between a client and a thread that works synchronously, through a pipe: whoever is slower makes the other one wait.
 *
 *   export:  thread ══pipe══▶ socket ──▶ ArchiveStream ──▶ client        its end shows only when the thread said that all went well
 *   import:  client ──▶ socket ══pipe══▶ thread                          the thread is told when the client left before its end
 */
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { EngineError } from '../base/errors.ts';
import { makePipe } from './pipe.ts';

/** `run` starts the job that writes to `writeEnd` and closes it; `done` is called once, when nothing of it is left. */
export function exportStream(run: (writeEnd: number) => Promise<void>, done: () => void): ArchiveStream {
  const { readEnd, writeEnd } = makePipe();
  const socket = new Socket({ fd: readEnd, readable: true, writable: false });
  return new ArchiveStream(socket, run(writeEnd), done);
}

class ArchiveStream extends Readable {
  /** On the clock of `performance.now()`: when something last came that its reader had room for. Before that, never. */
  movedAt = Number.POSITIVE_INFINITY;
  readonly #socket: Socket;
  readonly #job: Promise<void>;
  readonly #done: () => void;

  constructor(socket: Socket, job: Promise<void>, done: () => void) {
    super({ highWaterMark: 256 * 1024 });
    this.#socket = socket;
    this.#job = job;
    this.#done = done;
    socket.pause();
    socket.on('data', (chunk) => {
      this.movedAt = performance.now();
      if (!this.push(chunk)) socket.pause();
    });
    socket.on('end', () => void this.#finish());
    socket.on('error', (error) => this.destroy(error));
    // One that was never started closes nothing, so its end does not come.
    job.catch((error) => this.destroy(error));
  }

  override _read(): void {
    this.#socket.resume();
  }

  /** A thread in the middle of a write finds the pipe closed. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#socket.destroy();
    this.#job
      .catch(() => {})
      .finally(() => {
        this.#done();
        callback(error);
      });
  }

  async #finish(): Promise<void> {
    try {
      await this.#job;
      this.push(null);
    } catch (error) {
      this.destroy(error as Error);
    }
  }
}

/** `run` starts the job that reads from `readEnd` and closes it. `archive` is not destroyed: its owner may have an answer to give on the same connection. */
export async function importStream(archive: Readable, run: (readEnd: number, cancel: SharedArrayBuffer) => Promise<void>): Promise<void> {
  if (archive.destroyed) throw cutOff();
  const { readEnd, writeEnd } = makePipe();
  const cancel = new SharedArrayBuffer(4);
  const socket = new Socket({ fd: writeEnd, readable: false, writable: true });
  let left: Error | null = null;
  const leave = (error?: Error) => {
    if (archive.readableEnded || left !== null) return;
    left = cutOff(error);
    Atomics.store(new Int32Array(cancel), 0, 1);
    socket.destroy();
  };
  // The thread says better what went wrong when it closes its end.
  socket.on('error', () => {});
  archive.on('error', leave);
  archive.on('close', leave);
  const job = run(readEnd, cancel);
  archive.pipe(socket);
  try {
    await job;
  } catch (thrown) {
    throw left ?? thrown;
  } finally {
    archive.unpipe(socket);
    archive.off('error', leave);
    archive.off('close', leave);
    socket.destroy();
  }
}

function cutOff(cause?: Error): EngineError {
  return new EngineError('invalid', 'the archive ended before its end: the client went away', { cause });
}
