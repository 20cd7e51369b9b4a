/** The worker threads of containers' files. Archives go as fast as their clients: they have threads of their own, and never hold up a look. */
import { Worker } from 'node:worker_threads';
import { JobThreads } from '../../base/job-threads.ts';
import type { FileJob } from './file-job.ts';

class FileThreads {
  readonly looks = threads(2);
  readonly streams = threads(16);
}

/** They end by themselves when there is nothing to do. */
export const fileThreads = new FileThreads();

function threads(limit: number): JobThreads<FileJob> {
  const start = () => new Worker(new URL('./files-worker.ts', import.meta.url), { name: 'files' });
  return new JobThreads<FileJob>({ limit, what: "the containers' files", start });
}
