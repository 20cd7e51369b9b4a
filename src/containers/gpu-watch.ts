/**
 * What GPUs do, for everybody who watches containers that hold some: read at most about once a second, and waited for a moment only. While GPUs do not answer, the
 * figures of containers go on without theirs, and nobody waits a second time.
 */
import { withPatience } from '../base/patience.ts';
import type { GpuReadings, GpuUsage } from '../devices/nvml/gpu-readings.ts';

interface WatchTimes {
  /** A reading serves everybody who comes within it. */
  readonly freshMs: number;
  /** For one that is under way. */
  readonly patienceMs: number;
  /** Older ones are not shown. */
  readonly staleMs: number;
}

const usualTimes: WatchTimes = { freshMs: 800, patienceMs: 2000, staleMs: 5000 };

export class GpuWatch {
  readonly #readings: Pick<GpuReadings, 'usage'>;
  readonly #times: WatchTimes;
  #latest: { readonly at: number; readonly usage: readonly GpuUsage[] | null } | null = null;
  #reading: Promise<void> | null = null;
  /** Somebody has waited in vain for the reading under way. */
  #isLate = false;

  constructor(readings: Pick<GpuReadings, 'usage'>, times: WatchTimes = usualTimes) {
    this.#readings = readings;
    this.#times = times;
  }

  /** Null: nothing is known. */
  async usage(): Promise<readonly GpuUsage[] | null> {
    if (this.#age() > this.#times.freshMs) {
      this.#reading ??= this.#read();
      if (!this.#isLate && (await withPatience(this.#reading, this.#times.patienceMs)) === 'late') this.#isLate = this.#reading !== null;
    }
    return this.#age() > this.#times.staleMs ? null : (this.#latest?.usage ?? null);
  }

  #age(): number {
    return this.#latest === null ? Number.POSITIVE_INFINITY : performance.now() - this.#latest.at;
  }

  async #read(): Promise<void> {
    const usage = await this.#readings.usage();
    this.#latest = { at: performance.now(), usage };
    this.#reading = null;
    this.#isLate = false;
  }
}
