/** Entry of a worker thread of layers; `layer-job.ts` has the jobs. One at a time. */
import { type JobControl, serveJobs } from '../../base/job-thread.ts';
import { finishLayer } from './finish-layer.ts';
import type { LayerJob } from './layer-job.ts';
import { removeDirectories } from './remove-directories.ts';
import { sealUpper } from './seal-upper.ts';

serveJobs(run);

function run(job: LayerJob, { checkpoint }: JobControl): unknown {
  switch (job.kind) {
    case 'seal':
      return finishLayer(job.directory, job.upper, checkpoint, (tar) => sealUpper(job, tar, checkpoint));
    case 'remove':
      return removeDirectories(job.root, job.names);
  }
}
