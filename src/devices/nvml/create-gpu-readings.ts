/**
 * Readings of NVIDIA's GPUs (`gpu-readings.ts`): starts the process that calls NVML at the first question, and ends it when nobody has asked for a while, because a driver
 * can be replaced only when nobody has its GPUs open.
 *
 *   no library             null, each time
 *   cannot be loaded       null until it is another file
 *   fails, crashes, hangs  null for a while, longer each time; after a hang also until the kernel has let go of the process: there is never more than one
 */
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { withPatience } from '../../base/patience.ts';
import type { GpuReadings } from './gpu-readings.ts';
import { findNvmlLibrary, type NvmlLibrary } from './nvml-library.ts';
import { NvmlFailure, NvmlProcess } from './nvml-process.ts';
import type { NvmlAnswers, NvmlAsk } from './nvml-protocol.ts';

export interface GpuReadingsOptions {
  readonly driverRoot: string;
  readonly logger: Logger;
  /** For tests. */
  readonly times?: Partial<ReadingTimes>;
}

export interface ReadingTimes {
  /** The first answer of a process: GPUs that nobody uses are woken up for it. */
  readonly firstMs: number;
  readonly answerMs: number;
  readonly idleMs: number;
  readonly endMs: number;
  /** After the first failure; twice as long after each more, up to sixteen times. */
  readonly restMs: number;
}

const usualTimes: ReadingTimes = { firstMs: 10_000, answerMs: 5000, idleMs: 10_000, endMs: 1000, restMs: 15_000 };

export function createGpuReadings({ driverRoot, logger, times = {} }: GpuReadingsOptions): GpuReadings {
  return new Readings(driverRoot, logger, { ...usualTimes, ...times });
}

/** Why nothing is asked. `restUntil`: on the clock of `performance.now()`. */
type Rest = { readonly kind: 'library'; readonly stamp: string } | { readonly kind: 'pause'; readonly restUntil: number };

class Readings implements GpuReadings {
  readonly #driverRoot: string;
  readonly #logger: Logger;
  readonly #times: ReadingTimes;
  readonly #shared = new Map<NvmlAsk, Promise<unknown>>();
  #process: NvmlProcess | null = null;
  #answered = false;
  /** A process that was ended and is not gone yet. */
  #leaving: NvmlProcess | null = null;
  #rest: Rest | null = null;
  #failures = 0;
  #idle: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(driverRoot: string, logger: Logger, times: ReadingTimes) {
    this.#driverRoot = driverRoot;
    this.#logger = logger;
    this.#times = times;
  }

  inventory(): ReturnType<GpuReadings['inventory']> {
    return this.#share('inventory');
  }

  usage(): ReturnType<GpuReadings['usage']> {
    return this.#share('usage');
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#retire();
  }

  #share<A extends NvmlAsk>(ask: A): Promise<NvmlAnswers[A] | null> {
    const known = this.#shared.get(ask) as Promise<NvmlAnswers[A] | null> | undefined;
    if (known !== undefined) return known;
    const answer = this.#ask(ask).finally(() => this.#shared.delete(ask));
    this.#shared.set(ask, answer);
    return answer;
  }

  async #ask<A extends NvmlAsk>(ask: A): Promise<NvmlAnswers[A] | null> {
    const known = this.#process?.hasEnded === false ? this.#process.library : null;
    const library = known ?? (await findNvmlLibrary(this.#driverRoot));
    if (library === null || this.#rests(library)) return null;
    // One that was idle too long is on its way out.
    if (this.#leaving !== null) await withPatience(this.#leaving.gone, this.#times.endMs);
    if (this.#closed || this.#leaving !== null) return null;
    let asked: NvmlProcess | null = null;
    try {
      asked = this.#start(library);
      const answer = await asked.ask(ask, this.#answered ? this.#times.answerMs : this.#times.firstMs);
      this.#succeeded();
      return answer;
    } catch (error) {
      this.#failed(asked, library, error);
      return null;
    }
  }

  #rests({ stamp }: NvmlLibrary): boolean {
    if (this.#rest === null) return false;
    return this.#rest.kind === 'library' ? this.#rest.stamp === stamp : performance.now() < this.#rest.restUntil;
  }

  #start(library: NvmlLibrary): NvmlProcess {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    // Somebody may have ended it while nothing was asked.
    if (this.#process === null || this.#process.hasEnded) {
      this.#process = new NvmlProcess(library);
      this.#answered = false;
    }
    return this.#process;
  }

  #succeeded(): void {
    if (this.#failures > 0) this.#logger.info({}, 'NVML answers again');
    this.#answered = true;
    this.#failures = 0;
    this.#rest = null;
    this.#retireLater();
  }

  #retireLater(): void {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#shared.size > 0) this.#retireLater();
      else void this.#retire();
    }, this.#times.idleMs).unref();
  }

  /** The questions beside it fail by the same end: it counts once. */
  #failed(asked: NvmlProcess | null, library: NvmlLibrary, error: unknown): void {
    if (this.#process !== asked) return;
    this.#process = null;
    if (asked !== null) this.#leave(asked);
    asked?.kill();
    const kind = error instanceof NvmlFailure ? error.kind : 'call';
    this.#rest =
      kind === 'library'
        ? { kind, stamp: library.stamp }
        : { kind: 'pause', restUntil: performance.now() + this.#times.restMs * 2 ** Math.min(this.#failures, 4) };
    this.#failures += 1;
    this.#logger.warn({ library: library.path, error: errorText(error) }, 'cannot read from NVML what GPUs do');
  }

  /** Resolves when it is gone or was killed. */
  async #retire(): Promise<void> {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    const ended = this.#process;
    this.#process = null;
    if (ended === null) return;
    this.#leave(ended);
    await ended.end(this.#times.endMs);
  }

  #leave(ended: NvmlProcess): void {
    this.#leaving = ended;
    void ended.gone.then(() => {
      if (this.#leaving === ended) this.#leaving = null;
    });
  }
}
