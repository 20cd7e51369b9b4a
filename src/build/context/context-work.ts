/** What the parts of the context store that fetch something get of it. */
import type { ContextJob, ContextPlaces, WrittenContext } from './context-job.ts';
import type { HeldContext } from './context-store.ts';
import type { ContextLimits } from './context-tree.ts';

export interface ContextWork<Request> {
  readonly request: Request;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly limits: ContextLimits;
  readonly signal: AbortSignal;
  /** `write` fills the directory; what it leaves behind when it fails goes. */
  held(sharedKey: string | null, write: (places: ContextPlaces) => Promise<WrittenContext>): Promise<HeldContext>;
  /** By a worker thread. */
  run<T>(job: ContextJob, signal: AbortSignal): Promise<T>;
}
