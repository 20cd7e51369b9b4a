/** Carries out one container's transitions in the order that `lifecycle-queue.ts` decides. */
import { conflict } from '../base/errors.ts';
import { admit, type DenialReason, emptyQueue, finish, type LifecycleQueue, type TransitionRequest } from './lifecycle-queue.ts';

export interface TransitionTask<T> extends TransitionRequest {
  run(): Promise<T>;
  /** The outcome of a request that found the same transition already on its way. */
  joined?(outcome: T): T;
}

interface Pending {
  readonly run: () => Promise<unknown>;
  readonly settle: PromiseWithResolvers<unknown>;
}

export class TransitionLane {
  #queue: LifecycleQueue = emptyQueue;
  readonly #pending = new Map<number, Pending>();
  readonly #describe: (reason: DenialReason) => string;
  readonly #preempt: () => void;

  /** `preempt` is called when the transition under way waits for an exit that nobody wants to wait for any longer. */
  constructor(describe: (reason: DenialReason) => string, preempt: () => void) {
    this.#describe = describe;
    this.#preempt = preempt;
  }

  get idle(): boolean {
    return this.#queue.current === null;
  }

  /** Something waits for what is under way. */
  get isWanted(): boolean {
    return this.#queue.waiting.length > 0;
  }

  submit<T>(task: TransitionTask<T>): Promise<T> {
    const { queue, decision } = admit(this.#queue, task);
    this.#queue = queue;
    if (decision.kind === 'denied') return Promise.reject(conflict(this.#describe(decision.reason)));
    if (decision.kind === 'duplicate') return this.#join(decision.of, task);
    const settle = Promise.withResolvers<unknown>();
    this.#pending.set(decision.ticket, { run: () => task.run(), settle });
    if (decision.kind === 'run') void this.#drain(decision.ticket);
    else if (decision.preempts !== null) this.#preempt();
    return settle.promise as Promise<T>;
  }

  async #join<T>(ticket: number, task: TransitionTask<T>): Promise<T> {
    const outcome = (await this.#pending.get(ticket)?.settle.promise) as T;
    return task.joined === undefined ? outcome : task.joined(outcome);
  }

  async #drain(first: number): Promise<void> {
    for (let ticket: number | null = first; ticket !== null; ) {
      await this.#perform(ticket);
      this.#pending.delete(ticket);
      const { queue, next } = finish(this.#queue);
      this.#queue = queue;
      ticket = next === null ? null : next.ticket;
    }
  }

  async #perform(ticket: number): Promise<void> {
    const pending = this.#pending.get(ticket);
    if (pending === undefined) return;
    try {
      pending.settle.resolve(await pending.run());
    } catch (error) {
      pending.settle.reject(error);
    }
  }
}
