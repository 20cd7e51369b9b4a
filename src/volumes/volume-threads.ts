/** Worker threads for `volume-job.ts`. */
import { Worker } from 'node:worker_threads';
import { JobThreads } from '../base/job-threads.ts';
import type { VolumeJob } from './volume-job.ts';

export class VolumeThreads extends JobThreads<VolumeJob> {
  constructor(limit: number) {
    const start = () => new Worker(new URL('./volume-worker.ts', import.meta.url), { name: 'volumes' });
    super({ limit, what: 'the volumes', start });
  }
}
