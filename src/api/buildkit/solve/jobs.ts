/**
 * Builds that clients have begun, by their `Ref`. Several calls of one client belong to each and come in any order:
 *
 *     Solve(ref) ── waits ──────────────────────────────────────▶ ExporterResponse
 *     Status(ref) ◀── messages ── … ── end
 *     Ping, Solve (of the gateway), Return: with the ref in their metadata
 *
 * so whoever asks for a ref that is not there yet waits for a while, and one that has ended stays for those that come late.
 */
import { conflict, notFound } from '../../../base/errors.ts';
import type { BuildOutcome } from '../../../build/builder.ts';
import type { GrpcError } from '../grpc/status.ts';
import type { Entry } from './exporters.ts';
import type { SolvePlan } from './frontend-options.ts';
import { StatusLog } from './status-log.ts';

export interface BuiltResult {
  readonly plan: SolvePlan;
  readonly outcome: BuildOutcome;
  /** Descriptor of a cache that was written to a folder of the client; null: there is none. */
  readonly cacheManifest: unknown;
}

export interface JobSettings {
  readonly ref: string;
  readonly session: string;
  readonly exporters: readonly Entry[];
  readonly cacheImports: readonly Entry[];
  readonly cacheExports: readonly Entry[];
  readonly entitlements: readonly string[];
}

export class Job {
  readonly settings: JobSettings;
  /** Aborted when nobody wants it any more. */
  readonly signal: AbortSignal;
  readonly log = new StatusLog();
  /** What the gateway's solves came to, by the ids that the client got. */
  readonly results = new Map<string, BuiltResult>();
  /** What the client said to come of it; the id of a result, or why there is none. */
  readonly returned = Promise.withResolvers<string | GrpcError>();
  ended = false;
  solves = 0;

  constructor(settings: JobSettings, signal: AbortSignal) {
    this.settings = settings;
    this.signal = signal;
  }
}

const waitMs = 10_000;
/** For a `Status` that comes after a build that had nothing to do. */
const keptMs = 30_000;

export class Jobs {
  readonly #jobs = new Map<string, Job>();
  readonly #waiting = new Map<string, Set<(job: Job) => void>>();

  begin(settings: JobSettings, signal: AbortSignal): Job {
    const { ref } = settings;
    if (this.#jobs.has(ref)) throw conflict(`job ID ${ref} exists`);
    const job = new Job(settings, signal);
    this.#jobs.set(ref, job);
    for (const found of this.#waiting.get(ref) ?? []) found(job);
    return job;
  }

  end(job: Job): void {
    job.ended = true;
    job.log.end();
    const timer = setTimeout(() => this.#jobs.delete(job.settings.ref), keptMs);
    timer.unref();
  }

  find(ref: string, signal: AbortSignal): Promise<Job> {
    const job = this.#jobs.get(ref);
    if (job !== undefined) return Promise.resolve(job);
    return new Promise((resolve, reject) => {
      const waiters = this.#waiting.get(ref) ?? new Set();
      this.#waiting.set(ref, waiters);
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        waiters.delete(found);
        if (waiters.size === 0) this.#waiting.delete(ref);
        finish();
      };
      const found = (begun: Job) => settle(() => resolve(begun));
      const aborted = () => settle(() => reject(signal.reason));
      const timer = setTimeout(() => settle(() => reject(notFound(`no such job ${ref}`))), waitMs);
      waiters.add(found);
      signal.addEventListener('abort', aborted, { once: true });
      if (signal.aborted) aborted();
    });
  }
}
