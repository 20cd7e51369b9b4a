/** Worker threads for `volume-job.ts`: started when there is work, as many as allowed at once, ended when there has been none for a while. */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { EngineError } from '../base/errors.ts';
import type { VolumeJob, VolumeJobReply, VolumeJobRequest } from './volume-job.ts';

interface Task {
  readonly request: VolumeJobRequest;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  task: Task | null;
  idle: NodeJS.Timeout | null;
}

const IDLE_MS = 5000;
const ENDING_MS = 3000;

export class VolumeThreads {
  readonly #limit: number;
  readonly #threads = new Set<Thread>();
  readonly #queue: Task[] = [];
  #closed = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get busy(): boolean {
    return this.#queue.length > 0 || [...this.#threads].some(({ task }) => task !== null);
  }

  /** `cancel` may be set by whoever wants the job to end at its next checkpoint. */
  run<T>(job: VolumeJob, cancel = new SharedArrayBuffer(4)): Promise<T> {
    if (this.#closed) return Promise.reject(new EngineError('unavailable', 'the volumes are being closed: the daemon is stopping'));
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ request: { job, cancel }, resolve: resolve as (value: unknown) => void, reject });
      this.#next();
    });
  }

  /** What runs is cancelled and waited for, so that nothing half done is lost sight of. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const task of this.#queue.splice(0)) task.reject(new EngineError('unavailable', 'the volumes are being closed'));
    for (const { task } of this.#threads) if (task !== null) Atomics.store(new Int32Array(task.request.cancel), 0, 1);
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
  }

  #next(): void {
    if (this.#queue.length === 0) return;
    const idle = [...this.#threads].find((thread) => thread.task === null);
    const thread = idle ?? (this.#threads.size < this.#limit ? this.#start() : null);
    const task = thread === null ? undefined : this.#queue.shift();
    if (thread === null || task === undefined) return;
    if (thread.idle !== null) clearTimeout(thread.idle);
    thread.idle = null;
    thread.task = task;
    thread.worker.ref();
    thread.worker.postMessage(task.request);
  }

  #start(): Thread {
    const thread: Thread = {
      worker: new Worker(new URL('./volume-worker.ts', import.meta.url), { name: 'volumes' }),
      task: null,
      idle: null,
    };
    this.#threads.add(thread);
    thread.worker.on('message', (reply: VolumeJobReply) => this.#reply(thread, reply));
    thread.worker.on('error', (cause) =>
      this.#lost(thread, new EngineError('system', `a worker thread of the volumes failed: ${String(cause)}`, { cause })),
    );
    thread.worker.on('exit', () => this.#lost(thread, new EngineError('system', 'a worker thread of the volumes ended unexpectedly')));
    return thread;
  }

  #reply(thread: Thread, reply: VolumeJobReply): void {
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

  #lost(thread: Thread, error: Error): void {
    if (!this.#threads.delete(thread)) return;
    thread.task?.reject(error);
    this.#next();
  }

  async #end(thread: Thread): Promise<void> {
    if (thread.idle !== null) clearTimeout(thread.idle);
    this.#threads.delete(thread);
    // A thread that waits in the kernel for a file server that is gone can't be ended; the kernel lets go of it when the process ends.
    await Promise.race([thread.worker.terminate(), delay(ENDING_MS, undefined, { ref: false })]);
    thread.task?.reject(new EngineError('unavailable', 'the volumes are being closed'));
  }
}
