/**
 * The files of uploads under way: `<root>/<id>`. Bytes go to threads in batches, a few ahead, so that memory stays flat whatever the size and the speed; each upload
 * stays with one thread, which keeps its hash.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { EngineError, hasErrnoCode } from '../base/errors.ts';
import { WorkerCalls } from '../store/worker-call.ts';
import type { UploadRequest } from './upload-worker.ts';

const batchBytes = 256 * 1024;
const batchesAhead = 3;
const idleMs = 60_000;

export class UploadFiles {
  readonly #root: string;
  readonly #threads: readonly WorkerCalls[];
  #next = 0;
  readonly #threadOf = new Map<string, WorkerCalls>();

  constructor(root: string) {
    this.#root = root;
    const toError = ({ message, code }: { readonly message: string; readonly code?: string }) => diskError(message, code, root);
    this.#threads = Array.from(
      { length: Math.max(1, Math.min(4, availableParallelism() - 1)) },
      () => new WorkerCalls(new URL('./upload-worker.ts', import.meta.url), { idleMs, name: 'registry', toError }),
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
    try {
      for await (const bytes of batches(source)) {
        // The buffer changes threads: it has no length here any more.
        const sizeBytes = bytes.length;
        const sent = this.#call({ op: 'append', session: id, bytes }, [bytes.buffer]).then(() => grown(sizeBytes));
        sent.catch(() => {});
        ahead.push(sent);
        if (ahead.length >= batchesAhead) await ahead.shift();
      }
    } finally {
      // Also after a cut: what is on its way to the file is counted before anybody asks.
      const settled = await Promise.allSettled(ahead);
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

  #call<T>(request: UploadRequest, transfer: ArrayBuffer[] = []): Promise<T> {
    let thread = this.#threadOf.get(request.session);
    if (thread === undefined) {
      thread = this.#threads[this.#next++ % this.#threads.length] as WorkerCalls;
      this.#threadOf.set(request.session, thread);
    }
    return thread.call<T>({ ...request }, transfer);
  }
}

/** Copies into buffers of their own: they change threads without being copied once more. What had come before a cut is yielded, then the cut is thrown. */
async function* batches(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let batch = new Uint8Array(batchBytes);
  let filled = 0;
  let cut: { readonly thrown: unknown } | null = null;
  try {
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length; ) {
        const part = chunk.subarray(at, at + batchBytes - filled);
        batch.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < batchBytes) continue;
        yield batch;
        batch = new Uint8Array(batchBytes);
        filled = 0;
      }
    }
  } catch (thrown) {
    cut = { thrown };
  }
  if (filled > 0) yield batch.slice(0, filled);
  if (cut !== null) throw cut.thrown;
}

function diskError(message: string, code: string | undefined, root: string): Error {
  const why = { ENOSPC: 'no space left on device', EDQUOT: 'disk quota exceeded' }[code ?? ''];
  if (why === undefined) return Object.assign(new Error(message), { code });
  return new EngineError('system', `cannot write an upload to ${root}: ${why}`, { details: { errno: code } });
}
