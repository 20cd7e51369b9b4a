/** The inner side of a thread of `job-threads.ts`: one job at a time, errors told in words. */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { EngineError, errorText, SystemCallError } from './errors.ts';
import type { JobError, JobReply, JobRequest } from './job-threads.ts';

/** Between entries, and between chunks. */
export interface JobControl {
  /** Throws when whoever asked does not want it any more. */
  checkpoint(): void;
}

export function serveJobs<Job>(run: (job: Job, control: JobControl) => unknown): void {
  const port: MessagePort | null = parentPort;
  port?.on('message', (request: JobRequest<Job>) => {
    void answer(request, run).then((reply) => port.postMessage(reply));
  });
}

async function answer<Job>({ job, cancel }: JobRequest<Job>, run: (job: Job, control: JobControl) => unknown): Promise<JobReply> {
  const flag = new Int32Array(cancel);
  const checkpoint = () => {
    if (Atomics.load(flag, 0) !== 0) throw new EngineError('unavailable', 'cancelled');
  };
  try {
    return { ok: true, value: await run(job, { checkpoint }) };
  } catch (error) {
    return { ok: false, error: describe(error) };
  }
}

function describe(error: unknown): JobError {
  if (error instanceof SystemCallError)
    return { code: 'system', message: withDiskHint(error.message, error.errnoName), details: error.details };
  if (error instanceof EngineError) return { code: error.code, message: error.message, details: error.details };
  const errnoName = error instanceof Error && 'code' in error ? error.code : undefined;
  return { code: 'system', message: withDiskHint(errorText(error), errnoName), details: { errnoName } };
}

function withDiskHint(message: string, errnoName: unknown): string {
  return errnoName === 'ENOSPC' || errnoName === 'EDQUOT' ? `the disk is full: ${message}` : message;
}
