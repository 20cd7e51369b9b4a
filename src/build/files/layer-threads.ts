/** The worker threads of layers. Archives go as fast as their readers: they have threads of their own, and so has what clears up behind failed work. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { JobThreads } from '../../base/job-threads.ts';
import type { LayerJob } from './layer-job.ts';

export class LayerThreads {
  readonly #works = threads(Math.max(2, availableParallelism()));
  readonly #streams = threads(8);
  readonly #removals = threads(1);

  /** When `signal` aborts, the job is stopped first, so that nothing of it goes on. */
  async work<T>(job: LayerJob, signal: AbortSignal): Promise<T> {
    return await untilAborted(signal, (cancel) => this.#works.run<T>(job, cancel));
  }

  async stream(job: LayerJob, signal: AbortSignal): Promise<void> {
    await untilAborted(signal, (cancel) => this.#streams.run<void>(job, cancel));
  }

  async remove(root: string, names: readonly string[]): Promise<void> {
    await this.#removals.run({ kind: 'remove', root, names });
  }

  async close(): Promise<void> {
    await Promise.all([this.#works.close(), this.#streams.close()]);
    await this.#removals.close();
  }
}

function threads(limit: number): JobThreads<LayerJob> {
  const start = () => new Worker(new URL('./layer-worker.ts', import.meta.url), { name: 'build-layers' });
  return new JobThreads<LayerJob>({ limit, what: 'the layers of builds', start });
}

async function untilAborted<T>(signal: AbortSignal, run: (cancel: SharedArrayBuffer) => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const cancel = new SharedArrayBuffer(4);
  const stop = () => void Atomics.store(new Int32Array(cancel), 0, 1);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await run(cancel);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
