/** Entry of a worker thread that looks through unpacked layers; the jobs are in `tree-job.ts`. */
import { serveJobs } from '../base/job-thread.ts';
import { checkLayer } from './check-layer.ts';
import { compareTrees } from './compare-trees.ts';
import type { TreeJob } from './tree-job.ts';

serveJobs<TreeJob>((job, { checkpoint }) => (job.kind === 'compare' ? compareTrees(job, checkpoint) : checkLayer(job, checkpoint)));
