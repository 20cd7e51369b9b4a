/** Entry of the worker thread of `package-threads.ts`. */
import { serveJobs } from '../../base/job-thread.ts';
import { type FindPackagesJob, findPackages } from './find-packages.ts';

serveJobs<FindPackagesJob>((job, { checkpoint }) => findPackages(job, checkpoint));
