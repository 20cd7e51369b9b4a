/**
 * The states of a container; each owns what must be released when it is left.
 *
 *   created ──start──▶ running ──exit──▶ exited ──start──▶ running
 *      │                  ▲ └─exit, restart policy─▶ restarting ──stop──▶ exited
 *      │                  └───────back-off is over───────┘
 *      └──────────────────┬──────────────┘
 *                       remove ──▶ removing ──▶ (gone) | dead, when its files can't be removed
 *
 * A failed start leaves the state as it was, with the failure's code and text in `last`; one that the restart policy tried leaves it exited.
 */
import { conflict } from '../base/errors.ts';
import type { RunningContainer } from '../runtime/runtime.ts';
import type { StoredState } from './container-record.ts';
import type { WaitResult } from './containers.ts';
import type { LogFeed } from './log-news.ts';
import type { StdioRelay } from './stdio-relay.ts';

/** How the last run (or the last try) ended. */
export interface LastRun {
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly error: string;
}

export type ContainerState = Created | Running | Restarting | Exited | Removing | Dead;

export interface Created {
  readonly status: 'created';
  readonly last: LastRun;
}

export interface Running {
  readonly status: 'running';
  readonly process: RunningContainer;
  readonly log: LogFeed;
  readonly last: LastRun;
  /** Clients that see this run's output; its exit is told when they have it. */
  readonly streams: Set<StdioRelay>;
  /** Settles after the exit is stored and told. */
  readonly ended: Promise<LastRun>;
  /** `restart` is at work: the end of this run is not the end of the container, `--rm` must wait. */
  restarting: boolean;
  /** `frozen` is Docker's paused; the kernel knows it too, see pause-container.ts. */
  freezer: 'thawed' | 'freezing' | 'frozen';
  /** The OOM killer has ended a process of it, and `oom` was told. */
  oomTold: boolean;
  /** When the process began, on the clock of `performance.now()`. */
  readonly since: number;
  /** Somebody stopped or killed it: its end is what they wanted, whatever the restart policy says. */
  endAsked: boolean;
}

/** It ended, and its restart policy starts it again after a while. Docker calls it running too. */
export interface Restarting {
  readonly status: 'restarting';
  readonly last: LastRun;
  /** Nothing starts it any more. */
  readonly cancel: () => void;
}

export interface Exited {
  readonly status: 'exited';
  readonly last: LastRun;
}

export interface Removing {
  readonly status: 'removing';
  readonly last: LastRun;
  /** Its anonymous volumes go with it. */
  readonly volumes: boolean;
}

export interface Dead {
  readonly status: 'dead';
  readonly last: LastRun;
}

export const neverRan: LastRun = { startedAt: null, finishedAt: null, exitCode: 0, oomKilled: false, error: '' };

/** The one accessor of what only a running container has. */
export function requireRunning(id: string, state: ContainerState): Running {
  if (state.status === 'restarting') throw conflict(`Container ${id} is restarting, wait until the container is running`);
  if (state.status !== 'running') throw conflict(`Container ${id} is not running`);
  return state;
}

export function waitResultOf(last: LastRun): WaitResult {
  return { statusCode: last.exitCode, error: last.error === '' ? null : last.error };
}

/** What Docker calls running: what runs, and what is about to be started again. */
export function isUp(state: ContainerState): state is Running | Restarting {
  return state.status === 'running' || state.status === 'restarting';
}

export function storedRun(status: StoredState['status'], last: LastRun): StoredState {
  const { startedAt, finishedAt, exitCode, oomKilled, error } = last;
  return {
    status,
    startedAt: startedAt?.getTime() ?? null,
    finishedAt: finishedAt?.getTime() ?? null,
    exitCode,
    oomKilled,
    error,
  };
}

export function lastRunOf(stored: StoredState): LastRun {
  return {
    startedAt: dateOf(stored.startedAt),
    finishedAt: dateOf(stored.finishedAt),
    exitCode: stored.exitCode,
    oomKilled: stored.oomKilled,
    error: stored.error,
  };
}

function dateOf(milliseconds: number | null): Date | null {
  return milliseconds === null ? null : new Date(milliseconds);
}
