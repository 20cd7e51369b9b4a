/** Entry of a worker thread that measures and removes cache mounts; the jobs are in `cache-mount-job.ts`. */
import { serveJobs } from '../../base/job-thread.ts';
import { type CacheMountJob, runCacheMountJob } from './cache-mount-job.ts';

serveJobs<CacheMountJob>((job, { checkpoint }) => runCacheMountJob(job, checkpoint));
