/** What a cache mount starts with (`from=`, `source=`): copied once, in a thread, from layers or files that nobody changes. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { JobThreads } from '../../base/job-threads.ts';
import type { LayerStore } from '../../store/layer-store.ts';
import type { OperationResult } from '../result.ts';
import type { CacheFillJob } from './cache-fill-job.ts';
import { directoriesOf } from './result-directories.ts';

export class CacheFill {
  readonly #threads = new JobThreads<CacheFillJob>({
    limit: 1,
    what: 'the filling of cache mounts',
    start: () => new Worker(new URL('./cache-fill-worker.ts', import.meta.url), { name: 'cache fill' }),
  });
  readonly #layers: Pick<LayerStore, 'mountOrder'>;
  readonly #scratch: string;
  #counter = 0;

  /** `scratch`: a directory on the file system of cache mounts, for what a copy needs aside. */
  constructor(layers: Pick<LayerStore, 'mountOrder'>, scratch: string) {
    this.#layers = layers;
    this.#scratch = scratch;
  }

  /** `directory` is empty. */
  async fill(from: OperationResult, source: string, directory: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const aside = join(this.#scratch, `fill-${process.pid}-${this.#counter++}`);
    await mkdir(aside, { recursive: true, mode: 0o700 });
    const cancel = new SharedArrayBuffer(4);
    const stop = () => void Atomics.store(new Int32Array(cancel), 0, 1);
    signal.addEventListener('abort', stop, { once: true });
    try {
      await this.#threads.run({ directories: directoriesOf(from, this.#layers), source, directory, aside }, cancel);
    } finally {
      signal.removeEventListener('abort', stop);
      await rm(aside, { recursive: true, force: true });
    }
  }

  close(): Promise<void> {
    return this.#threads.close();
  }
}
