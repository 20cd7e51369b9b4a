/** Entry of a worker thread that fills cache mounts; the job is in `cache-fill-job.ts`. */
import { serveJobs } from '../../base/job-thread.ts';
import { type CacheFillJob, runCacheFill } from './cache-fill-job.ts';

serveJobs<CacheFillJob>((job, { checkpoint }) => runCacheFill(job, checkpoint));
