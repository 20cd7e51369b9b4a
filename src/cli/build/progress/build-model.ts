/** What the events of a build add up to: its steps in the order in which they were named first, each with its state, its transfers and the last lines it wrote. */
import type { BuildProgress, BuildWarningText, VertexProgress } from '../../../client/build-types.ts';
import { LogLines } from './log-lines.ts';

export interface Step {
  readonly digest: string;
  readonly name: string;
  readonly startedAt: Date | null;
  readonly completedAt: Date | null;
  readonly cached: boolean;
  /** Null: it went well, or has not ended. */
  readonly error: string | null;
  /** In the order in which they were named. */
  readonly statuses: ReadonlyMap<string, VertexProgress>;
  readonly log: LogLines;
  /** Why it was, or was not, taken from the cache. */
  readonly explanation: { readonly cached: boolean; readonly reasons: readonly string[] } | null;
}

type Changing<T> = { -readonly [K in keyof T]: T[K] };
interface ChangingStep extends Changing<Omit<Step, 'statuses'>> {
  readonly statuses: Map<string, VertexProgress>;
}

const CANCELED = /context canceled$/;

export function isCanceled(step: Step): boolean {
  return step.error !== null && CANCELED.test(step.error);
}

export function secondsOf({ startedAt, completedAt }: Step, now: Date): number {
  return startedAt === null ? 0 : Math.max(0, ((completedAt ?? now).getTime() - startedAt.getTime()) / 1000);
}

export class BuildModel {
  readonly #steps = new Map<string, ChangingStep>();
  readonly #warnings: BuildWarningText[] = [];
  /** Of the daemon's clock to ours: it may be another machine's. */
  #clockOffsetMs: number | null = null;

  get steps(): readonly Step[] {
    return [...this.#steps.values()];
  }

  get warnings(): readonly BuildWarningText[] {
    return this.#warnings;
  }

  /** The daemon's time. */
  now(localMs = Date.now()): Date {
    return new Date(localMs - (this.#clockOffsetMs ?? 0));
  }

  /** The step that changed; null: none did. */
  accept(event: BuildProgress, localMs = Date.now()): Step | null {
    switch (event.kind) {
      case 'plan':
        return null;
      case 'warning':
        this.#warnings.push(event.warning);
        return null;
      case 'vertex': {
        const { startedAt, completedAt, cached, error, name } = event.vertex;
        const step = this.#step(event.vertex.digest);
        step.name = name;
        if (startedAt !== undefined) step.startedAt ??= startedAt;
        if (completedAt !== undefined) step.completedAt = completedAt;
        if (cached === true) step.cached = true;
        if (error !== undefined && error !== '') step.error = error;
        const latest = completedAt ?? startedAt;
        // The event that came fastest tells it best.
        if (latest !== undefined)
          this.#clockOffsetMs = Math.min(this.#clockOffsetMs ?? Number.POSITIVE_INFINITY, localMs - latest.getTime());
        return step;
      }
      case 'status': {
        const step = this.#step(event.status.vertex);
        step.statuses.set(event.status.id, event.status);
        return step;
      }
      case 'log': {
        const step = this.#step(event.vertex);
        step.log.add(event.bytes, event.at);
        return step;
      }
      case 'explanation': {
        const step = this.#step(event.vertex);
        step.explanation = event.explanation;
        return step;
      }
    }
  }

  #step(digest: string): ChangingStep {
    const known = this.#steps.get(digest);
    if (known !== undefined) return known;
    const step: ChangingStep = {
      digest,
      name: '',
      startedAt: null,
      completedAt: null,
      cached: false,
      error: null,
      statuses: new Map(),
      log: new LogLines(),
      explanation: null,
    };
    this.#steps.set(digest, step);
    return step;
  }
}
