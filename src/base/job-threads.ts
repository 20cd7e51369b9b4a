/**
 * Worker threads for work that is synchronous: walks of trees, archives, what may wait for a file server. Started when there is work, as many as allowed at
 * once, ended when there has been none for a while. The other side of a thread is `serveJobs` (job-thread.ts).
 *
 *     ──▶ {job, cancel}
 *     ◀── {ok: true, value} or {ok: false, error}
 *
 * `cancel` is shared memory, as a thread does not read messages while it works.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { EngineError, type ErrorCode } from './errors.ts';

export interface JobRequest<Job> {
  readonly job: Job;
  readonly cancel: SharedArrayBuffer;
}

export type JobReply = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: JobError };

/** An error on its way between threads. */
export interface JobError {
  readonly code: ErrorCode;
  readonly message: string;
  /** `errnoName` when the kernel said no, and `errno`. */
  readonly details: Readonly<Record<string, unknown>>;
}

export interface JobThreadsOptions {
  /** At once; more work waits. */
  readonly limit: number;
  /** For messages: "the volumes". */
  readonly what: string;
  start(): Worker;
}

interface Task<Job> {
  readonly request: JobRequest<Job>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly started: () => void;
}

interface Thread<Job> {
  readonly worker: Worker;
  task: Task<Job> | null;
  idle: NodeJS.Timeout | null;
}

const IDLE_MS = 5000;
const ENDING_MS = 3000;

export class JobThreads<Job> {
  readonly #options: JobThreadsOptions;
  readonly #threads = new Set<Thread<Job>>();
  readonly #queue: Task<Job>[] = [];
  #closed = false;

  constructor(options: JobThreadsOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#queue.length > 0 || [...this.#threads].some(({ task }) => task !== null);
  }

  /** Jobs wait for a thread. */
  get isWanted(): boolean {
    return this.#queue.length > 0;
  }

  /** `cancel` may be set by whoever wants the job to end at its next checkpoint; `started` is called when a thread has it. */
  run<T>(job: Job, cancel = new SharedArrayBuffer(4), started: () => void = () => {}): Promise<T> {
    if (this.#closed) return Promise.reject(this.#closing());
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ request: { job, cancel }, resolve: resolve as (value: unknown) => void, reject, started });
      this.#next();
    });
  }

  /** What runs is cancelled and waited for, so that nothing half done is lost sight of. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const task of this.#queue.splice(0)) task.reject(this.#closing());
    for (const { task } of this.#threads) if (task !== null) Atomics.store(new Int32Array(task.request.cancel), 0, 1);
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
  }

  #next(): void {
    if (this.#queue.length === 0) return;
    const idle = [...this.#threads].find((thread) => thread.task === null);
    const thread = idle ?? (this.#threads.size < this.#options.limit ? this.#start() : null);
    const task = thread === null ? undefined : this.#queue.shift();
    if (thread === null || task === undefined) return;
    if (thread.idle !== null) clearTimeout(thread.idle);
    thread.idle = null;
    thread.task = task;
    thread.worker.ref();
    thread.worker.postMessage(task.request);
    task.started();
  }

  #start(): Thread<Job> {
    const { what } = this.#options;
    const thread: Thread<Job> = { worker: this.#options.start(), task: null, idle: null };
    this.#threads.add(thread);
    thread.worker.on('message', (reply: JobReply) => this.#reply(thread, reply));
    thread.worker.on('error', (cause) =>
      this.#lost(thread, new EngineError('system', `a worker thread of ${what} failed: ${String(cause)}`, { cause })),
    );
    thread.worker.on('exit', () => this.#lost(thread, new EngineError('system', `a worker thread of ${what} ended unexpectedly`)));
    return thread;
  }

  #closing(): EngineError {
    return new EngineError('unavailable', `${this.#options.what} are being closed: the daemon is stopping`);
  }

  #reply(thread: Thread<Job>, reply: JobReply): void {
    const { task } = thread;
    thread.task = null;
    // A thread without work must not keep the process alive.
    thread.worker.unref();
    if (reply.ok) task?.resolve(reply.value);
    else task?.reject(new EngineError(reply.error.code, reply.error.message, { details: reply.error.details }));
    if (this.#closed) return;
    thread.idle = setTimeout(() => void this.#end(thread), IDLE_MS).unref();
    this.#next();
  }

  #lost(thread: Thread<Job>, error: Error): void {
    if (!this.#threads.delete(thread)) return;
    thread.task?.reject(error);
    this.#next();
  }

  async #end(thread: Thread<Job>): Promise<void> {
    if (thread.idle !== null) clearTimeout(thread.idle);
    this.#threads.delete(thread);
    // A thread that waits in the kernel for a file server that is gone can't be ended; the kernel lets go of it when the process ends.
    await Promise.race([thread.worker.terminate(), delay(ENDING_MS, undefined, { ref: false })]);
    thread.task?.reject(this.#closing());
  }
}
