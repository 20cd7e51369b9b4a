/** Threads that look through unpacked layers: what two stacks of them differ in, and whether one is still what its blob says. */
import { Worker } from 'node:worker_threads';
import { JobThreads } from '../base/job-threads.ts';
import type { CheckJob, LayerCheck } from './check-layer.ts';
import type { CompareJob, TreeDifference } from './compare-trees.ts';
import type { TreeJob } from './tree-job.ts';

export interface TreeThreads {
  compare(job: Omit<CompareJob, 'kind'>, signal: AbortSignal): Promise<TreeDifference>;
  check(job: Omit<CheckJob, 'kind'>, signal: AbortSignal): Promise<LayerCheck>;
  close(): Promise<void>;
}

const threadsAtOnce = 2;

export function createTreeThreads(entry: URL = new URL('./tree-worker.ts', import.meta.url)): TreeThreads {
  const threads = new JobThreads<TreeJob>({ limit: threadsAtOnce, what: 'the layers', start: () => new Worker(entry, { name: 'layers' }) });
  const run = async <T>(job: TreeJob, signal: AbortSignal): Promise<T> => {
    signal.throwIfAborted();
    const cancel = new SharedArrayBuffer(4);
    const stop = () => void Atomics.store(new Int32Array(cancel), 0, 1);
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await threads.run<T>(job, cancel);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  };
  return {
    compare: (job, signal) => run({ kind: 'compare', ...job }, signal),
    check: (job, signal) => run({ kind: 'check', ...job }, signal),
    close: () => threads.close(),
  };
}
