/**
 * One worker thread that answers numbered requests, started at first use.
 *
 *     {id, …request}  ──▶ worker
 *     {id, ok, value | error} ◀── worker          error: {message, code?, errcode?}
 *
 * When the worker dies, every open request fails with what killed it, and the next one starts another.
 */
import { Worker } from 'node:worker_threads';
import { EngineError, type ErrorCode } from '../base/errors.ts';

export interface WorkerRequest {
  readonly op: string;
}

export interface WorkerReply {
  readonly id: number;
  readonly ok: boolean;
  readonly value?: unknown;
  readonly error?: WorkerFailure;
}

/** An error as it crosses threads. `code` is Node's (`ENOSPC`, `ERR_SQLITE_ERROR`), `errcode` SQLite's number. */
export interface WorkerFailure {
  readonly message: string;
  readonly code?: string;
  readonly errcode?: number;
  /** It was an `EngineError` of this code. */
  readonly refused?: ErrorCode;
}

export interface WorkerOptions {
  /** Of the thread, for whoever looks at the process and for errors. Default: `store`. */
  readonly name?: string;
  readonly workerData?: unknown;
  /** Ends the thread when nothing was asked for so long; it takes some 6 MB. */
  readonly idleMs?: number;
  toError(failure: WorkerFailure): Error;
}

export class WorkerCalls {
  readonly #entry: URL;
  readonly #options: WorkerOptions;
  readonly #open = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #worker: Worker | null = null;
  #idle: NodeJS.Timeout | null = null;
  #lastId = 0;

  constructor(entry: URL, options: WorkerOptions) {
    this.#entry = entry;
    this.#options = options;
  }

  call<T>(request: WorkerRequest & Record<string, unknown>, transfer: readonly ArrayBuffer[] = []): Promise<T> {
    const worker = this.#start();
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#open.set(id, { resolve: resolve as (value: unknown) => void, reject });
    worker.ref();
    worker.postMessage({ ...request, id }, transfer);
    return promise;
  }

  async close(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
    this.#failAll(new EngineError('unavailable', 'the store is being closed'));
  }

  #start(): Worker {
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = null;
    if (this.#worker) return this.#worker;
    const { name = 'store', workerData } = this.#options;
    const worker = new Worker(this.#entry, { workerData, name });
    worker.on('message', (reply: WorkerReply) => this.#settle(reply));
    worker.on('error', (cause) =>
      this.#lost(worker, new EngineError('system', `a worker thread of the ${name} failed: ${String(cause)}`, { cause })),
    );
    worker.on('exit', () => this.#lost(worker, new EngineError('system', `a worker thread of the ${name} ended unexpectedly`)));
    this.#worker = worker;
    return worker;
  }

  #settle(reply: WorkerReply): void {
    const waiting = this.#open.get(reply.id);
    this.#open.delete(reply.id);
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(this.#options.toError(reply.error ?? { message: 'unknown failure' }));
    if (this.#open.size > 0) return;
    // Nothing is awaited: the thread alone must not keep the process alive.
    this.#worker?.unref();
    const { idleMs } = this.#options;
    if (idleMs !== undefined) this.#idle = setTimeout(() => this.#retire(), idleMs).unref();
  }

  #retire(): void {
    const worker = this.#worker;
    this.#worker = null;
    void worker?.terminate();
  }

  #lost(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#failAll(error);
  }

  #failAll(error: Error): void {
    const waiting = [...this.#open.values()];
    this.#open.clear();
    for (const { reject } of waiting) reject(error);
  }
}

/** For the worker's side. */
export function describeFailure(thrown: unknown): WorkerFailure {
  if (!(thrown instanceof Error)) return { message: String(thrown) };
  if (thrown instanceof EngineError) return { message: thrown.message, refused: thrown.code };
  const { code, errcode } = thrown as { code?: unknown; errcode?: unknown };
  return {
    message: thrown.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof errcode === 'number' ? { errcode } : {}),
  };
}
