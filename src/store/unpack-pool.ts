/** Worker threads that unpack: started when there is work, as many as allowed at most, ended when there has been none for a while. */
import { Worker } from 'node:worker_threads';
import { EngineError } from '../base/errors.ts';
import type { UnpackOutcome } from './unpack-layer.ts';
import type { WorkerReply, WorkerRequest } from './unpack-worker.ts';

interface Task {
  readonly request: WorkerRequest;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  readonly resolve: (outcome: UnpackOutcome | null) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  task: Task | null;
  idle: NodeJS.Timeout | null;
}

const IDLE_MS = 5000;

export class UnpackPool {
  readonly #entry: URL | string;
  readonly #limit: number;
  readonly #threads = new Set<Thread>();
  readonly #queue: Task[] = [];
  #closed = false;

  constructor(entry: URL | string, limit: number) {
    this.#entry = entry;
    this.#limit = limit;
  }

  run(request: WorkerRequest, onProgress: Task['onProgress'] = () => {}): Promise<UnpackOutcome | null> {
    if (this.#closed) return Promise.reject(new EngineError('unavailable', 'the layer store is being closed'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, onProgress, resolve, reject });
      this.#next();
    });
  }

  get idle(): boolean {
    return this.#queue.length === 0 && [...this.#threads].every(({ task }) => task === null);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const task of this.#queue.splice(0)) task.reject(new EngineError('unavailable', 'the layer store is being closed'));
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)));
  }

  #next(): void {
    const idle = [...this.#threads].find((thread) => thread.task === null);
    if (this.#queue.length === 0) return;
    const thread = idle ?? (this.#threads.size < this.#limit ? this.#start() : null);
    if (thread === null) return;
    const task = this.#queue.shift();
    if (task === undefined) return;
    if (thread.idle !== null) clearTimeout(thread.idle);
    thread.idle = null;
    thread.task = task;
    thread.worker.ref();
    thread.worker.postMessage(task.request);
  }

  #start(): Thread {
    const thread: Thread = { worker: new Worker(this.#entry, { name: 'unpack' }), task: null, idle: null };
    this.#threads.add(thread);
    thread.worker.on('message', (reply: WorkerReply) => this.#reply(thread, reply));
    thread.worker.on('error', (cause) =>
      this.#lost(thread, new EngineError('system', `an unpack worker failed: ${String(cause)}`, { cause })),
    );
    thread.worker.on('exit', () => this.#lost(thread, new EngineError('system', 'an unpack worker ended unexpectedly')));
    return thread;
  }

  #reply(thread: Thread, reply: WorkerReply): void {
    const { task } = thread;
    if (task === null) return;
    if (reply.kind === 'progress') {
      task.onProgress(reply.doneBytes, reply.totalBytes);
      return;
    }
    thread.task = null;
    // A thread without work must not keep the process alive.
    thread.worker.unref();
    thread.idle = setTimeout(() => void this.#end(thread), IDLE_MS).unref();
    if (reply.kind === 'done') task.resolve(reply.outcome);
    else task.reject(new EngineError(reply.error.code, reply.error.message, { details: reply.error.details }));
    this.#next();
  }

  #lost(thread: Thread, error: Error): void {
    if (!this.#threads.delete(thread)) return;
    if (thread.idle !== null) clearTimeout(thread.idle);
    thread.task?.reject(error);
    thread.task = null;
    this.#next();
  }

  async #end(thread: Thread): Promise<void> {
    if (thread.idle !== null) clearTimeout(thread.idle);
    if (thread.task === null) this.#threads.delete(thread);
    await thread.worker.terminate();
  }
}
