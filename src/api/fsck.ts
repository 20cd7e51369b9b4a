/** What the API hands to `gantry system fsck`; the daemon puts the audits together (`daemon/fsck.ts`). */
import type { FindingKind } from '../base/finding.ts';

export interface FsckOptions {
  /** Reads every byte that has a digest. */
  readonly deep: boolean;
  readonly repair: boolean;
}

export interface FsckFinding {
  readonly kind: FindingKind;
  readonly what: string;
  readonly why: string;
  /** What a repair does; null: only a person can. */
  readonly repair: string | null;
  readonly outcome: 'found' | 'repaired' | { readonly failed: string };
}

export interface FsckReport {
  readonly findings: readonly FsckFinding[];
}

export type Fsck = (options: FsckOptions) => Promise<FsckReport>;
