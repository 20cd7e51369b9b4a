/**
 * Reads what containers use once a second for everybody who watches, and nothing while nobody does.
 *
 *   watchers ──▶ tick: one reading of all their containers, in the worker thread ──▶ each watcher's latest sample ──▶ pulled when its client can take it
 *
 * A watcher that is slow misses samples; it holds nobody up and nothing piles up for it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { EngineError } from '../base/errors.ts';
import { WorkerCalls } from '../store/worker-call.ts';
import type { ReadUsage, UsageReading, UsageSample, UsageTarget } from './usage-reading.ts';

const intervalMs = 1000;
/** Those who come together (`docker stats` asks for every container by itself) share their first reading. */
const gatherMs = 20;
const servedAtOnce = 16;
/** The worker thread ends when nobody has watched for so long. */
const idleMs = 10_000;

/** What to read; `stopped`: nothing now, but maybe later; `gone`: never again. */
export type Watched = () => UsageTarget | 'stopped' | 'gone';

interface Watcher {
  readonly watched: Watched;
  latest: { readonly sample: UsageSample | null } | null;
  end: { readonly error: unknown } | 'gone' | null;
  wake: () => void;
}

export class UsageCollector {
  readonly #read: ReadUsage;
  readonly #intervalMs: number;
  readonly #watchers = new Set<Watcher>();
  #timer: NodeJS.Timeout | null = null;
  #ticking = false;

  constructor(read: ReadUsage = readInWorker(), interval = intervalMs) {
    this.#read = read;
    this.#intervalMs = interval;
  }

  /** One sample now; null: it does not run. */
  async sample(watched: Watched): Promise<UsageSample | null> {
    const target = watched();
    return typeof target === 'string' ? null : ((await this.#read([target]))[0] ?? null);
  }

  /** One reading for one caller. */
  async read(targets: readonly UsageTarget[]): Promise<UsageReading> {
    return targets.length === 0 ? [] : await this.#read(targets);
  }

  /** Ends when the container is gone or the signal is aborted; null while it does not run. */
  async *follow(watched: Watched, signal: AbortSignal): AsyncGenerator<UsageSample | null> {
    const watcher: Watcher = { watched, latest: null, end: null, wake: () => {} };
    const wake = (): void => watcher.wake();
    signal.addEventListener('abort', wake);
    this.#watchers.add(watcher);
    this.#schedule(gatherMs);
    try {
      while (!signal.aborted) {
        if (watcher.latest !== null) {
          const { sample } = watcher.latest;
          watcher.latest = null;
          yield sample;
        } else if (watcher.end !== null) {
          if (watcher.end === 'gone') return;
          throw watcher.end.error;
        } else await new Promise<void>((resolve) => (watcher.wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#watchers.delete(watcher);
    }
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== null || this.#ticking || this.#watchers.size === 0) return;
    this.#timer = setTimeout(() => void this.#tick(), delayMs).unref();
  }

  async #tick(): Promise<void> {
    this.#timer = null;
    this.#ticking = true;
    const startedAt = performance.now();
    await this.#serve([...this.#watchers]);
    this.#ticking = false;
    this.#schedule(Math.max(0, this.#intervalMs - (performance.now() - startedAt)));
  }

  async #serve(watchers: readonly Watcher[]): Promise<void> {
    const wanted = watchers.map((watcher) => ({ watcher, target: watcher.watched() }));
    const targets = new Map<string, UsageTarget>();
    for (const { target } of wanted) if (typeof target !== 'string') targets.set(target.id, target);
    let samples: ReadonlyMap<string, UsageSample | null>;
    try {
      const reading: UsageReading = targets.size === 0 ? [] : await this.#read([...targets.values()]);
      samples = new Map([...targets.keys()].map((id, index) => [id, reading[index] ?? null]));
    } catch (error) {
      for (const watcher of watchers) finish(watcher, { error });
      return;
    }
    for (const [index, { watcher, target }] of wanted.entries()) {
      // Each becomes some kilobytes of JSON: others get their turn in between.
      if (index % servedAtOnce === servedAtOnce - 1) await nextTurn();
      if (target === 'gone') finish(watcher, 'gone');
      else deliver(watcher, target === 'stopped' ? null : (samples.get(target.id) ?? null));
    }
  }
}

function deliver(watcher: Watcher, sample: UsageSample | null): void {
  watcher.latest = { sample };
  watcher.wake();
}

function finish(watcher: Watcher, end: NonNullable<Watcher['end']>): void {
  watcher.end = end;
  watcher.wake();
}

function readInWorker(): ReadUsage {
  const calls = new WorkerCalls(new URL('./usage-worker.ts', import.meta.url), {
    name: 'usage',
    idleMs,
    toError: ({ message }) => new EngineError('system', `cannot read what containers use: ${message}`),
  });
  return (targets) => calls.call<UsageReading>({ op: 'read', targets });
}
