/**
 * Checks the health of running containers, one check at a time each, again and again:
 *
 *   start ─interval─▶ check ─▶ health, stored ─▶ `health_status: …` when it changed ─interval─▶ check …
 *
 * A paused container is not checked. A check that is under way when its container ends is forgotten. A daemon that starts goes on with the health that was
 * stored, at the time when the next check is due.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Container } from './container.ts';
import type { Running } from './container-state.ts';
import { type HealthCheck, type HealthResult, healthAfter, healthCheckOf, startingHealth, untilNextCheckMs } from './health.ts';

export interface HealthClock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Milliseconds since the epoch. */
  date(): number;
  /** Rejects when aborted. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

const systemClock: HealthClock = {
  now: () => performance.now(),
  date: () => Date.now(),
  // Longer delays than this overflow Node's timers and would fire at once.
  sleep: (milliseconds, signal) => sleep(Math.min(milliseconds, 2 ** 31 - 1), undefined, { signal }),
};

/** How often a paused container is looked at. */
const pausedMs = 1000;

export interface HealthWatchOptions {
  readonly probe: (container: Container, check: HealthCheck) => Promise<HealthResult>;
  readonly store: (container: Container) => Promise<void>;
  readonly emit: (action: string, container: Container) => void;
  readonly logger: Logger;
  readonly clock?: HealthClock;
}

export class HealthWatch {
  readonly #options: HealthWatchOptions;
  readonly #clock: HealthClock;
  readonly #watches = new Set<AbortController>();

  constructor(options: HealthWatchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** From the start of a run on. Returns what ends it: nothing of the container's health is stored after that. */
  begin(container: Container, running: Running): () => void {
    const check = healthCheckOf(container.config);
    if (check === null) return () => {};
    container.health ??= startingHealth(null);
    const watch = new AbortController();
    this.#watches.add(watch);
    void this.#follow(container, running, check, watch.signal).catch((error) => {
      if (watch.signal.aborted) return;
      this.#options.logger.error({ container: container.id, error: errorText(error) }, 'the health of a container is not checked any more');
    });
    return () => {
      watch.abort();
      this.#watches.delete(watch);
    };
  }

  close(): void {
    for (const watch of this.#watches) watch.abort();
    this.#watches.clear();
  }

  async #follow(container: Container, running: Running, check: HealthCheck, signal: AbortSignal): Promise<void> {
    const sinceStartMs = () => this.#clock.now() - running.since;
    let waitMs = this.#firstWaitMs(container, check, sinceStartMs());
    for (;;) {
      await this.#clock.sleep(waitMs, signal);
      if (running.freezer !== 'thawed') {
        waitMs = pausedMs;
        continue;
      }
      const startedMs = sinceStartMs();
      const result = await this.#options.probe(container, check);
      if (signal.aborted || container.health === null) return;
      // Paused before it could begin.
      if (running.freezer !== 'thawed' && result.exitCode < 0) {
        waitMs = pausedMs;
        continue;
      }
      await this.#take(container, check, result, startedMs);
      waitMs = untilNextCheckMs(container.health, check, sinceStartMs());
    }
  }

  /** After a restart of the daemon: the rest of the interval. */
  #firstWaitMs({ health, state }: Container, check: HealthCheck, sinceStartMs: number): number {
    if (health === null) return check.intervalMs;
    const intervalMs = untilNextCheckMs(health, check, sinceStartMs);
    const lastResult = health.log.at(-1)?.end ?? 0;
    const began = state.last.startedAt?.getTime() ?? 0;
    const passedMs = this.#clock.date() - Math.max(lastResult, began);
    return Math.min(Math.max(intervalMs - passedMs, 0), intervalMs);
  }

  async #take(container: Container, check: HealthCheck, result: HealthResult, sinceStartMs: number): Promise<void> {
    const before = container.health;
    if (before === null) return;
    const health = healthAfter(before, check, result, sinceStartMs);
    container.health = health;
    if (health.status !== before.status) this.#options.emit(`health_status: ${health.status}`, container);
    try {
      await this.#options.store(container);
    } catch (error) {
      this.#options.logger.error({ container: container.id, error: errorText(error) }, 'cannot store the health of a container');
    }
  }
}
