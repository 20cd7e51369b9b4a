/**
 * What a build tells while it runs, in BuildKit's terms (vertices with logs and statuses), so that every client's progress can be made from it: the classic stream, BuildKit's
 * trace, our own display. A vertex is told when it is known, again when it starts, and again when it has ended: clients merge by digest.
 */
import type { Place } from '../dockerfile/source-range.ts';

export type BuildEvent =
  | { readonly kind: 'plan'; readonly instructions: readonly PlannedInstruction[] }
  | { readonly kind: 'vertex'; readonly vertex: Vertex }
  | { readonly kind: 'status'; readonly status: VertexStatus }
  | { readonly kind: 'log'; readonly vertex: string; readonly stream: 'stdout' | 'stderr'; readonly bytes: Uint8Array; readonly at: Date }
  | { readonly kind: 'warning'; readonly warning: BuildWarning }
  /** With `explain`: why a step was taken from the cache, or was not. */
  | { readonly kind: 'explanation'; readonly vertex: string; readonly explanation: StepExplanation };

/** Instructions of the stages that are built, in the order of the file, for displays that count all of them (`Step 3/7 : ENV A=1`). */
export interface PlannedInstruction {
  readonly text: string;
  /** Null: it changes the config only. */
  readonly vertex: string | null;
  readonly place: Place;
}

export interface Vertex {
  /** `sha256:…`, one for each within a build. */
  readonly digest: string;
  readonly inputs: readonly string[];
  /** `[build 2/4] RUN make`, `[internal] load build context`, `exporting to image` */
  readonly name: string;
  readonly startedAt?: Date;
  readonly completedAt?: Date;
  readonly cached?: boolean;
  /** It failed, or was cancelled (`context canceled`). */
  readonly error?: string;
  readonly place?: Place;
}

/** Of something within a vertex: `transferring context: 1.2MB`, `exporting layers`. */
export interface VertexStatus {
  readonly id: string;
  readonly vertex: string;
  readonly name: string;
  readonly current: number;
  /** 0: not known. */
  readonly total: number;
  readonly startedAt: Date;
  readonly completedAt?: Date;
}

export interface BuildWarning {
  /** `StageNameCasing`; empty: not a build check. */
  readonly rule: string;
  /** `StageNameCasing: Stage name 'Web' should be lowercase (line 1)` */
  readonly short: string;
  readonly detail: string;
  readonly url: string;
  readonly place: Place | null;
  /** The vertex it belongs to; empty: the build. */
  readonly vertex: string;
}

export interface StepExplanation {
  readonly cached: boolean;
  /** `the input src/app.ts changed`, `the build argument V is 2, was 1`, `never built before` */
  readonly reasons: readonly string[];
}
