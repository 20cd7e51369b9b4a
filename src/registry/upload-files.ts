/**
 * The files of uploads under way: `<root>/<id>`. Bytes go to threads in batches of shared memory, two ahead, so that an upload takes 384 KiB whatever its size and its speed
 * (3 MiB while there are few: each batch costs two changes of threads); batches are used again. Each upload stays with one thread, which keeps its hash.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { EngineError, hasErrnoCode } from '../base/errors.ts';
import { WorkerCalls } from '../store/worker-call.ts';
import type { UploadRequest } from './upload-worker.ts';

const batchSizes = { few: 1024 * 1024, many: 128 * 1024 } as const;
/** So many uploads at once are few. */
const fewUploads = 8;
const batchesAhead = 2;
/** Of those that wait to be used again. */
const spareBatches = { few: 3 * fewUploads, many: 128 } as const;

type Batch = Uint8Array<SharedArrayBuffer>;
type BatchSize = keyof typeof batchSizes;

export class UploadFiles {
  readonly #root: string;
  readonly #threads: readonly WorkerCalls[];
  #next = 0;
  readonly #threadOf = new Map<string, WorkerCalls>();
  readonly #spare: Readonly<Record<BatchSize, Batch[]>> = { few: [], many: [] };
  #writing = 0;

  constructor(root: string) {
    this.#root = root;
    const toError = ({ message, code }: { readonly message: string; readonly code?: string }) => diskError(message, code, root);
    // They stay: an upload may be silent for long, and its thread has its file open.
    this.#threads = Array.from(
      { length: Math.max(1, Math.min(4, availableParallelism() - 1)) },
      () => new WorkerCalls(new URL('./upload-worker.ts', import.meta.url), { name: 'registry', toError }),
    );
  }

  /** Ids whose files are there. */
  async open(): Promise<readonly string[]> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    return await readdir(this.#root);
  }

  path(id: string): string {
    return join(this.#root, id);
  }

  async facts(id: string): Promise<{ readonly sizeBytes: number; readonly changedAt: number }> {
    try {
      const { size, mtimeMs } = await stat(this.path(id));
      return { sizeBytes: size, changedAt: mtimeMs };
    } catch (thrown) {
      if (hasErrnoCode(thrown, 'ENOENT')) return { sizeBytes: 0, changedAt: 0 };
      throw thrown;
    }
  }

  /** `grown` is called with what has reached the file; it may throw to end it. Returns when all of it has, or throws when the rest will not. */
  async append(id: string, source: AsyncIterable<Uint8Array>, grown: (bytes: number) => void): Promise<void> {
    await this.#call({ op: 'open', session: id, path: this.path(id) });
    const ahead: Promise<void>[] = [];
    const size: BatchSize = ++this.#writing > fewUploads ? 'many' : 'few';
    const spare = this.#spare[size];
    try {
      for await (const { batch, filled } of batches(source, batchSizes[size], spare)) {
        const sent = this.#call({ op: 'append', session: id, bytes: batch.subarray(0, filled) }).then(() => {
          if (spare.length < spareBatches[size]) spare.push(batch);
          grown(filled);
        });
        sent.catch(() => {});
        ahead.push(sent);
        if (ahead.length >= batchesAhead) await ahead.shift();
      }
    } finally {
      // Also after a cut: what is on its way to the file is counted before anybody asks.
      const settled = await Promise.allSettled(ahead);
      this.#writing--;
      await this.#call({ op: 'park', session: id });
      const failed = settled.find((outcome) => outcome.status === 'rejected');
      // biome-ignore lint/correctness/noUnsafeFinally: the first failure of the disk says more than the cut that came of it
      if (failed !== undefined) throw failed.reason;
    }
  }

  /** Digest and size of the whole; the file is closed and stays. */
  async finish(id: string): Promise<{ readonly hex: string; readonly sizeBytes: number }> {
    return await this.#call({ op: 'finish', session: id, path: this.path(id) });
  }

  async remove(id: string): Promise<void> {
    if (this.#threadOf.has(id)) await this.#call({ op: 'forget', session: id });
    this.#threadOf.delete(id);
    await rm(this.path(id), { force: true });
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  #call<T>(request: UploadRequest): Promise<T> {
    let thread = this.#threadOf.get(request.session);
    if (thread === undefined) {
      thread = this.#threads[this.#next++ % this.#threads.length] as WorkerCalls;
      this.#threadOf.set(request.session, thread);
    }
    return thread.call<T>({ ...request });
  }
}

/** What had come before a cut is yielded, then the cut is thrown. */
async function* batches(
  source: AsyncIterable<Uint8Array>,
  batchBytes: number,
  spare: Batch[],
): AsyncGenerator<{ readonly batch: Batch; readonly filled: number }> {
  let batch: Batch | null = null;
  let filled = 0;
  let cut: { readonly thrown: unknown } | null = null;
  try {
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length; ) {
        batch ??= spare.pop() ?? new Uint8Array(new SharedArrayBuffer(batchBytes));
        const part = chunk.subarray(at, at + batchBytes - filled);
        batch.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < batchBytes) continue;
        yield { batch, filled };
        batch = null;
        filled = 0;
      }
    }
  } catch (thrown) {
    cut = { thrown };
  }
  if (batch !== null) yield { batch, filled };
  if (cut !== null) throw cut.thrown;
}

function diskError(message: string, code: string | undefined, root: string): Error {
  const why = { ENOSPC: 'no space left on device', EDQUOT: 'disk quota exceeded' }[code ?? ''];
  if (why === undefined) return Object.assign(new Error(message), { code });
  return new EngineError('system', `cannot write an upload to ${root}: ${why}`, { details: { errno: code } });
}
