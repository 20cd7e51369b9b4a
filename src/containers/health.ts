/**
 * Health of a container, by its check: what a check asks, and what a result makes of the health. Pure; `health-monitor.ts` keeps the time.
 *
 *   starting ──success──▶ healthy ◀──success── unhealthy
 *       └──failures in a row: `Retries`; none counts within the start period──▶ unhealthy
 *
 * A container that ends is unhealthy, as in Docker, until its next start.
 */
import type { ContainerConfig, Healthcheck } from './config.ts';

export interface Health {
  readonly status: 'starting' | 'healthy' | 'unhealthy';
  readonly failingStreak: number;
  /** The last ones, oldest first. */
  readonly log: readonly HealthResult[];
}

export interface HealthResult {
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  /** The process's own; -1: it could not be started, or took too long. */
  readonly exitCode: number;
  readonly output: string;
}

/** All times in milliseconds. */
export interface HealthCheck {
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

const keptResults = 5;
const defaultShell = ['/bin/sh', '-c'];
const nanosecondsPerMs = 1_000_000;

/** Null: there is none, `NONE`, or a form that nobody knows (Docker runs such a container without a check, too). */
export function healthCheckOf({ Healthcheck: check, Shell: shell }: Pick<ContainerConfig, 'Healthcheck' | 'Shell'>): HealthCheck | null {
  const command = check === undefined ? null : commandOf(check, shell ?? defaultShell);
  if (check === undefined || command === null) return null;
  const intervalMs = milliseconds(check.Interval, 30_000);
  return {
    command,
    intervalMs,
    timeoutMs: milliseconds(check.Timeout, 30_000),
    startPeriodMs: milliseconds(check.StartPeriod, 0),
    // Docker's 5 s makes a start slower than the interval that was asked for.
    startIntervalMs: milliseconds(check.StartInterval, Math.min(5000, intervalMs)),
    retries: check.Retries || 3,
  };
}

function commandOf({ Test: [form, ...words] = [] }: Healthcheck, shell: readonly string[]): readonly string[] | null {
  if (words.length === 0) return null;
  if (form === 'CMD') return words;
  return form === 'CMD-SHELL' ? [...shell, ...words] : null;
}

function milliseconds(nanoseconds: number | undefined, otherwise: number): number {
  return nanoseconds ? nanoseconds / nanosecondsPerMs : otherwise;
}

/** A run begins: the results of the one before stay to be looked at. */
export function startingHealth(before: Health | null): Health {
  return { status: 'starting', failingStreak: 0, log: before?.log ?? [] };
}

/** As Docker shows a container that is not checked any more. */
export function endedHealth(health: Health): Health {
  return { ...health, status: 'unhealthy' };
}

/** `sinceStartMs`: from the start of the container to that of the check. */
export function healthAfter(health: Health, check: HealthCheck, result: HealthResult, sinceStartMs: number): Health {
  const log = [...health.log, result].slice(-keptResults);
  if (result.exitCode === 0) return { status: 'healthy', failingStreak: 0, log };
  if (health.status === 'starting' && sinceStartMs < check.startPeriodMs) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= check.retries ? 'unhealthy' : health.status, failingStreak, log };
}

/** From the end of one check to the start of the next. */
export function untilNextCheckMs(health: Health, check: HealthCheck, sinceStartMs: number): number {
  return health.status === 'starting' && sinceStartMs < check.startPeriodMs ? check.startIntervalMs : check.intervalMs;
}
