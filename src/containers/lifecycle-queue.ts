/**
 * The order of a container's state transitions: one runs, the others wait their turn. Pure: it decides, `transition-lane.ts` carries out.
 *
 *   request ──▶ run        nothing else is under way
 *          ├──▶ wait       behind the others; `preempts` names a stop that is only waiting for its time-out and need not wait any longer
 *          ├──▶ duplicate  the last accepted transition is the same: its outcome is this one's too
 *          └──▶ denied     with a named reason; nothing was changed
 *
 * `network` is a connect, a disconnect or a change of ports; `kill` one of a container that waits for its restart. Other kills, resize, attach, wait, exec, logs and inspect are no transitions and pass the queue by.
 */

export type TransitionKind = 'start' | 'stop' | 'kill' | 'restart' | 'remove' | 'rename' | 'network' | 'files' | 'update';

export interface TransitionRequest {
  readonly kind: TransitionKind;
  /** `rm -f`: does not let a running container's stop take its time. */
  readonly force: boolean;
}

export interface Transition extends TransitionRequest {
  readonly ticket: number;
}

export interface LifecycleQueue {
  readonly nextTicket: number;
  readonly current: Transition | null;
  readonly waiting: readonly Transition[];
}

export type DenialReason = 'removal-in-progress' | 'too-many-transitions';

export type Decision =
  | { readonly kind: 'run'; readonly ticket: number }
  | { readonly kind: 'wait'; readonly ticket: number; readonly preempts: number | null }
  | { readonly kind: 'duplicate'; readonly of: number }
  | { readonly kind: 'denied'; readonly reason: DenialReason };

export interface Admission {
  readonly queue: LifecycleQueue;
  readonly decision: Decision;
}

export const emptyQueue: LifecycleQueue = { nextTicket: 1, current: null, waiting: [] };

/** Clients that send a container up and down faster than it can follow are refused, not remembered without bound. */
export const maxWaiting = 64;

export function admit(queue: LifecycleQueue, request: TransitionRequest): Admission {
  const pending = queue.current === null ? queue.waiting : [queue.current, ...queue.waiting];
  if (pending.some((transition) => transition.kind === 'remove')) return denied(queue, 'removal-in-progress');
  const last = pending.at(-1);
  if (last !== undefined && isDuplicate(last, request)) return { queue, decision: { kind: 'duplicate', of: last.ticket } };
  if (queue.waiting.length >= maxWaiting) return denied(queue, 'too-many-transitions');
  return accept(queue, request);
}

function accept(queue: LifecycleQueue, request: TransitionRequest): Admission {
  const transition: Transition = { kind: request.kind, force: request.force, ticket: queue.nextTicket };
  const nextTicket = queue.nextTicket + 1;
  if (queue.current === null) {
    return { queue: { ...queue, nextTicket, current: transition }, decision: { kind: 'run', ticket: transition.ticket } };
  }
  return {
    queue: { ...queue, nextTicket, waiting: [...queue.waiting, transition] },
    decision: { kind: 'wait', ticket: transition.ticket, preempts: preempted(queue.current, request) },
  };
}

const mayBeJoined: ReadonlySet<TransitionKind> = new Set(['start', 'stop', 'restart']);

/** Two renames or changes of networks ask for different things, and a removal that follows a removal was denied before: none is ever a duplicate. */
function isDuplicate(last: Transition, request: TransitionRequest): boolean {
  return last.kind === request.kind && mayBeJoined.has(request.kind);
}

function preempted(current: Transition, request: TransitionRequest): number | null {
  const waitsForExit = current.kind === 'stop' || current.kind === 'restart';
  return request.kind === 'remove' && request.force && waitsForExit ? current.ticket : null;
}

function denied(queue: LifecycleQueue, reason: DenialReason): Admission {
  return { queue, decision: { kind: 'denied', reason } };
}

/** The current transition is over; `next` is to be run now. */
export function finish(queue: LifecycleQueue): { readonly queue: LifecycleQueue; readonly next: Transition | null } {
  const [next = null, ...waiting] = queue.waiting;
  return { queue: { ...queue, current: next, waiting }, next };
}
