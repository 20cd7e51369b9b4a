/**
 * The states of a container; each owns what must be released when it is left.
 *
 *   created ──start──▶ running ──exit──▶ exited ──start──▶ running
 *      └──────────────────┬──────────────┘
 *                       remove ──▶ removing ──▶ (gone) | dead, when its files can't be removed
 *
 * A failed start leaves the state as it was, with the failure's code and text in `last`.
 */
import { conflict } from '../base/errors.ts';
import type { RunningContainer } from '../runtime/runtime.ts';
import type { StoredState } from './container-record.ts';
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

export type ContainerState = Created | Running | Exited | Removing | Dead;

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
}

export interface Exited {
  readonly status: 'exited';
  readonly last: LastRun;
}

export interface Removing {
  readonly status: 'removing';
  readonly last: LastRun;
}

export interface Dead {
  readonly status: 'dead';
  readonly last: LastRun;
}

export const neverRan: LastRun = { startedAt: null, finishedAt: null, exitCode: 0, oomKilled: false, error: '' };

/** The one accessor of what only a running container has. */
export function requireRunning(id: string, state: ContainerState): Running {
  if (state.status !== 'running') throw conflict(`Container ${id} is not running`);
  return state;
}

export function storedState(state: ContainerState): StoredState {
  const { startedAt, finishedAt, exitCode, oomKilled, error } = state.last;
  return {
    status: state.status,
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
