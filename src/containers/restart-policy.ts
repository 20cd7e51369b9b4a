/**
 * When a container that ended is started again, and after how long. Pure; `restarts.ts` keeps the time.
 *
 *   back-off: 100 ms, doubled with every restart, 60 s at most; 100 ms again after a run of 10 s
 *
 * A stop or a kill ends a container for good: `unless-stopped` remembers it over restarts of the daemon, `always` does not. A start by hand forgets the past.
 */
import type { HostConfig } from './config.ts';

export type RestartPolicy = HostConfig['RestartPolicy'];

export interface RestartHistory {
  /** Restarts by the policy since the last start by hand. */
  readonly count: number;
  /** What was waited before the last of them; 0: none yet. */
  readonly delayMs: number;
  /** Stopped or killed by somebody since it was started last. */
  readonly stoppedByHand: boolean;
}

export interface EndedRun {
  readonly exitCode: number;
  readonly ranMs: number;
  /** Somebody asked for this end. */
  readonly asked: boolean;
}

export const noRestarts: RestartHistory = { count: 0, delayMs: 0, stoppedByHand: false };

const firstDelayMs = 100;
const longestDelayMs = 60_000;
/** A run of this length proves that the container can live. */
const settledMs = 10_000;

/** The history with the restart that is to come after its `delayMs`; null: it stays ended. */
export function restartAfter(policy: RestartPolicy, history: RestartHistory, run: EndedRun): RestartHistory | null {
  if (run.asked || !isWanted(policy, history, run.exitCode)) return null;
  return { ...history, count: history.count + 1, delayMs: nextDelayMs(history.delayMs, run.ranMs) };
}

/** The daemon starts and finds it ended for another reason than its own end: the machine was restarted, or the daemon stopped it when it left itself. */
export function startsWithDaemon(policy: RestartPolicy, history: RestartHistory, exitCode: number): boolean {
  if (policy.Name === 'on-failure' && history.stoppedByHand) return false;
  return isWanted(policy, history, exitCode);
}

function isWanted({ Name: name, MaximumRetryCount: most }: RestartPolicy, history: RestartHistory, exitCode: number): boolean {
  switch (name) {
    case 'always':
      return true;
    case 'unless-stopped':
      return !history.stoppedByHand;
    case 'on-failure':
      return exitCode !== 0 && (most === 0 || history.count < most);
    default:
      return false;
  }
}

function nextDelayMs(previousMs: number, ranMs: number): number {
  return previousMs === 0 || ranMs >= settledMs ? firstDelayMs : Math.min(previousMs * 2, longestDelayMs);
}
