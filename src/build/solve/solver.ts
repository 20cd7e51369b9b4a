/**
 * Runs the graph of operations: inputs before what needs them, everything else side by side up to a limit, equal operations once, also those of builds that run at the same time.
 *
 *     wanted ─► inputs solved ─► asked for in the cache ──hit──► cached
 *                                        └──miss──► waits for a place ─► executed ─► done
 *
 * An operation that nobody wants any more is cancelled; one that another build still waits for goes on. A failure is told to everybody who waits, and remembered by nobody.
 */
import type { Operation } from '../plan/operation.ts';
import { inputsOf } from '../plan/operation.ts';
import type { Identities } from './operation-identity.ts';
import { Places } from './places.ts';

export interface OperationWorker<R> {
  /** Null: it has to be done. */
  recall(operation: Operation, inputs: ReadonlyMap<Operation, R>, signal: AbortSignal): Promise<R | null>;
  /** Only one that was not recalled. What it prints goes to `output`. */
  execute(operation: Operation, inputs: ReadonlyMap<Operation, R>, output: OutputSink, signal: AbortSignal): Promise<R>;
}

export type OutputSink = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;

export type SolveEvent<R = unknown> =
  | { readonly kind: 'started'; readonly operation: Operation; readonly at: Date }
  | {
      readonly kind: 'output';
      readonly operation: Operation;
      readonly stream: 'stdout' | 'stderr';
      readonly bytes: Uint8Array;
      readonly at: Date;
    }
  | { readonly kind: 'done'; readonly operation: Operation; readonly result: R; readonly cached: boolean; readonly at: Date }
  | { readonly kind: 'failed'; readonly operation: Operation; readonly error: unknown; readonly at: Date };

/** Called in the turn in which it happens: what somebody else made can be held before they let go of it. */
export type SolveListener<R = unknown> = (event: SolveEvent<R>) => void;

interface Job<R> {
  readonly result: Promise<R>;
  readonly listeners: Set<{ readonly operation: Operation; readonly listener: SolveListener<R> }>;
  readonly cancel: AbortController;
  /** What later listeners missed. */
  readonly past: SolveEvent<R>[];
  waiting: number;
}

export class Solver<R> {
  readonly #worker: OperationWorker<R>;
  readonly #places: Places;
  readonly #jobs = new Map<string, Job<R>>();

  /** `limit`: operations executed at once. */
  constructor(worker: OperationWorker<R>, limit: number) {
    this.#worker = worker;
    this.#places = new Places(limit);
  }

  /** Rejects with the first failure; what runs beside it is cancelled, unless another build wants it. */
  async solve(target: Operation, identities: Identities, listener: SolveListener<R>, signal: AbortSignal): Promise<R> {
    const failure = new AbortController();
    const stop = AbortSignal.any([signal, failure.signal]);
    const solved = new Map<Operation, Promise<R>>();
    const solveOne = (operation: Operation): Promise<R> => {
      const known = solved.get(operation);
      if (known) return known;
      const result = this.#join(operation, solveOne, identities, listener, stop);
      solved.set(operation, result);
      result.catch((reason) => failure.abort(reason));
      return result;
    };
    try {
      return await solveOne(target);
    } catch (error) {
      await Promise.allSettled(solved.values());
      signal.throwIfAborted();
      throw failure.signal.aborted ? failure.signal.reason : error;
    }
  }

  async #join(
    operation: Operation,
    solveInput: (input: Operation) => Promise<R>,
    identities: Identities,
    listener: SolveListener<R>,
    signal: AbortSignal,
  ): Promise<R> {
    const distinct = [...new Set(inputsOf(operation))];
    const inputs = new Map(await Promise.all(distinct.map(async (input) => [input, await solveInput(input)] as const)));
    signal.throwIfAborted();
    const identity = identities.of(operation);
    const job = this.#jobs.get(identity) ?? this.#start(identity, operation, inputs);
    return await this.#wait(job, operation, listener, signal);
  }

  #start(identity: string, operation: Operation, inputs: ReadonlyMap<Operation, R>): Job<R> {
    const cancel = new AbortController();
    const job: Job<R> = {
      result: Promise.resolve().then(() => this.#run(job, operation, inputs)),
      listeners: new Set(),
      cancel,
      past: [],
      waiting: 0,
    };
    this.#jobs.set(identity, job);
    const forget = () => {
      if (this.#jobs.get(identity) === job) this.#jobs.delete(identity);
    };
    job.result.then(forget, forget);
    // Nobody may join what is being given up.
    cancel.signal.addEventListener('abort', forget, { once: true });
    return job;
  }

  async #run(job: Job<R>, operation: Operation, inputs: ReadonlyMap<Operation, R>): Promise<R> {
    const { signal } = job.cancel;
    try {
      const recalled = await this.#worker.recall(operation, inputs, signal);
      if (recalled !== null) {
        tell(job, { kind: 'done', operation, result: recalled, cached: true, at: new Date() });
        return recalled;
      }
      using _ = await this.#places.take(signal);
      tell(job, { kind: 'started', operation, at: new Date() });
      const output: OutputSink = (stream, bytes) => tell(job, { kind: 'output', operation, stream, bytes, at: new Date() });
      const result = await this.#worker.execute(operation, inputs, output, signal);
      tell(job, { kind: 'done', operation, result, cached: false, at: new Date() });
      return result;
    } catch (error) {
      tell(job, { kind: 'failed', operation, error, at: new Date() });
      throw error;
    }
  }

  /** Whoever gives up last waits until the work has stopped: nothing of it is left then. */
  async #wait(job: Job<R>, operation: Operation, listener: SolveListener<R>, signal: AbortSignal): Promise<R> {
    const entry = { operation, listener };
    for (const event of job.past) listener({ ...event, operation });
    job.listeners.add(entry);
    job.waiting++;
    const gaveUp = Promise.withResolvers<never>();
    const leave = () => {
      job.waiting--;
      if (job.waiting === 0) job.cancel.abort(signal.reason);
      else gaveUp.reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    try {
      return await Promise.race([job.result, gaveUp.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
      if (!signal.aborted) job.waiting--;
      job.listeners.delete(entry);
    }
  }
}

/** Output is kept short: somebody who comes late sees that it runs, not all it said. */
const pastLimit = 200;

function tell<R>(job: Job<R>, event: SolveEvent<R>): void {
  if (job.past.length < pastLimit || event.kind !== 'output') job.past.push(event);
  for (const { operation, listener } of job.listeners) listener({ ...event, operation });
}
