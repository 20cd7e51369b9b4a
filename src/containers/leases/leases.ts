/**
 * Leases (beyond Docker): objects that go when their time is up or when those who wanted them are gone, so that tests need no reaper.
 *
 *   held ──the last holder's connection ends──▶ released ──nobody holds it again for `graceMs`──▶ its objects are removed
 *     ▲                                            │
 *     └────────────────────── held again ◀─────────┘
 *
 * Who holds a lease lives in memory only: after a restart of the daemon every lease counts as released just now, with a longer grace, and holders come back.
 * A lease that nobody ever held is as one that was released when it was first seen. Times to live are counted from an object's creation.
 *
 * Removing is idempotent and tried again: a network may still be in use by a container that is on its way out.
 */
import { EngineError, errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { dueObjects, type LeasedObject } from './lease-deadlines.ts';

/** What leases may do to the engine. */
export interface LeasedWorld {
  /** Everything with a label of a lease. */
  list(): Promise<readonly LeasedObject[]>;
  remove(object: LeasedObject): Promise<void>;
  /** Calls back after something was created that may be leased. */
  onCreated(listener: () => void): void;
}

export interface LeaseTimes {
  /** For leases that were not held since the daemon started. */
  readonly unheldGraceMs: number;
  /** After a removal that failed. */
  readonly retryMs: number;
}

const defaultTimes: LeaseTimes = { unheldGraceMs: 60_000, retryMs: 2000 };
const longestTimerMs = 2 ** 31 - 1;

interface Holding {
  holders: number;
  /** When it ends; null while it is held. */
  endsAt: number | null;
}

export class Leases {
  readonly #world: LeasedWorld;
  readonly #logger: Logger;
  readonly #times: LeaseTimes;
  readonly #holdings = new Map<string, Holding>();
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> | null = null;
  #again = false;
  #closed = false;

  constructor(world: LeasedWorld, logger: Logger, times: LeaseTimes = defaultTimes) {
    this.#world = world;
    this.#logger = logger;
    this.#times = times;
    world.onCreated(() => this.#wake());
    this.#wake();
  }

  /** The lease is held until the function given back is called; `graceMs` later it ends, unless somebody holds it by then. */
  hold(name: string, graceMs: number): () => void {
    const holding = this.#holdings.get(name) ?? { holders: 0, endsAt: null };
    this.#holdings.set(name, holding);
    holding.holders += 1;
    holding.endsAt = null;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      holding.holders -= 1;
      if (holding.holders === 0) holding.endsAt = Date.now() + graceMs;
      this.#wake();
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#sweeping;
  }

  #wake(): void {
    if (this.#closed) return;
    this.#again = true;
    this.#sweeping ??= this.#sweepUntilQuiet().finally(() => {
      this.#sweeping = null;
    });
  }

  async #sweepUntilQuiet(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      await this.#sweep();
    }
  }

  async #sweep(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    let next = Date.now() + this.#times.retryMs;
    try {
      const objects = await this.#world.list();
      const { due, next: later } = dueObjects(objects, (name) => this.#endOf(name), Date.now());
      let failed = false;
      for (const object of due) failed = !(await this.#remove(object)) || failed;
      next = failed ? Math.min(next, later) : later;
      this.#forget(objects);
    } catch (error) {
      this.#logger.error({ error: errorText(error) }, 'cannot look for leased objects; trying again');
    }
    if (Number.isFinite(next) && !this.#closed) this.#wakeAt(next);
  }

  #wakeAt(moment: number): void {
    this.#timer = setTimeout(() => this.#wake(), Math.min(Math.max(moment - Date.now(), 0) + 1, longestTimerMs));
    this.#timer.unref();
  }

  #endOf(name: string): number | null {
    const known = this.#holdings.get(name);
    if (known !== undefined) return known.endsAt;
    const endsAt = Date.now() + this.#times.unheldGraceMs;
    this.#holdings.set(name, { holders: 0, endsAt });
    return endsAt;
  }

  async #remove(object: LeasedObject): Promise<boolean> {
    try {
      await this.#world.remove(object);
      this.#logger.info({ kind: object.kind, reference: object.reference }, 'removed: its lease is over');
      return true;
    } catch (error) {
      if (error instanceof EngineError && error.code === 'not-found') return true;
      this.#logger.warn(
        { kind: object.kind, reference: object.reference, error: errorText(error) },
        'cannot remove what a lease held; trying again',
      );
      return false;
    }
  }

  /** Leases that are over and have nothing left are remembered no longer. */
  #forget(objects: readonly LeasedObject[]): void {
    const used = new Set(objects.map(({ labels }) => labels['gantry.lease']));
    for (const [name, { endsAt }] of this.#holdings)
      if (endsAt !== null && endsAt <= Date.now() && !used.has(name)) this.#holdings.delete(name);
  }
}
