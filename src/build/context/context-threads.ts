/** Worker threads for `context-job.ts`. */
import { Worker } from 'node:worker_threads';
import { JobThreads } from '../../base/job-threads.ts';
import type { ContextJob } from './context-job.ts';

/** Transfers at once: each holds a thread while its client sends. */
const LIMIT = 8;

export class ContextThreads extends JobThreads<ContextJob> {
  constructor() {
    const start = () => new Worker(new URL('./context-worker.ts', import.meta.url), { name: 'contexts' });
    super({ limit: LIMIT, what: 'the build contexts', start });
  }
}
