/** Threads that look for packages: a root file system may hold a hundred thousand files. */
import { Worker } from 'node:worker_threads';
import { JobThreads } from '../../base/job-threads.ts';
import type { FindPackagesJob } from './find-packages.ts';
import type { FoundPackage } from './found-package.ts';

export interface PackageThreads {
  /** `directories`: those of a tree, host paths, topmost first. */
  find(directories: readonly string[], signal: AbortSignal): Promise<readonly FoundPackage[]>;
  close(): Promise<void>;
}

export function createPackageThreads(entry: URL = new URL('./package-worker.ts', import.meta.url)): PackageThreads {
  const start = () => new Worker(entry, { name: 'packages' });
  const threads = new JobThreads<FindPackagesJob>({ limit: 1, what: 'the packages of an image', start });
  return {
    async find(directories, signal) {
      signal.throwIfAborted();
      const cancel = new SharedArrayBuffer(4);
      const stop = () => void Atomics.store(new Int32Array(cancel), 0, 1);
      signal.addEventListener('abort', stop, { once: true });
      try {
        return await threads.run<readonly FoundPackage[]>({ kind: 'find-packages', directories }, cancel);
      } finally {
        signal.removeEventListener('abort', stop);
      }
    },
    close: () => threads.close(),
  };
}
