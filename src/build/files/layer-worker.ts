/** Entry of a worker thread of layers; `layer-job.ts` has the jobs. One at a time. */
import { type JobControl, serveJobs } from '../../base/job-thread.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { copyFiles } from './copy-files.ts';
import { exportFiles } from './export-files.ts';
import { finishLayer } from './finish-layer.ts';
import type { LayerJob } from './layer-job.ts';
import { makeDirectories } from './make-directory.ts';
import { removeDirectories } from './remove-directories.ts';
import { sealUpper } from './seal-upper.ts';
import { selectFiles } from './select-files.ts';
import { squashLayers } from './squash-layers.ts';

serveJobs(run);

async function run(job: LayerJob, { checkpoint }: JobControl): Promise<unknown> {
  switch (job.kind) {
    case 'seal':
      return finishLayer(job.directory, job.upper, checkpoint, (tar) => sealUpper(job, tar, checkpoint));
    case 'copy':
      return await copyFiles(job, checkpoint);
    case 'directory':
      return makeDirectories(job, checkpoint);
    case 'squash':
      return squashLayers(job, checkpoint);
    case 'select':
      return selectFiles(job, checkpoint);
    case 'export':
      try {
        return exportFiles(job, checkpoint);
      } finally {
        closeDescriptor(job.writeEnd);
      }
    case 'remove':
      return removeDirectories(job.root, job.names);
  }
}
