/** What the worker threads of contexts do. Descriptors are theirs to close. Directories: `files`, `trash` and `index` of one context (see context-index.ts). */
import type { ContextLimits } from './context-tree.ts';

export interface ContextPlaces {
  /** Holds the three others, and is there. */
  readonly directory: string;
  readonly files: string;
  readonly trash: string;
  readonly index: string;
}

export type ContextJob =
  /** A tar, compressed or not. */
  | {
      readonly kind: 'unpack';
      readonly places: ContextPlaces;
      readonly readEnd: number;
      /** See withhold.ts. */
      readonly dockerfiles?: readonly string[];
      readonly limits: ContextLimits;
    }
  /** The same of a file that may be none: gives null then. */
  | { readonly kind: 'unpack-file'; readonly places: ContextPlaces; readonly path: string; readonly limits: ContextLimits }
  | {
      readonly kind: 'sync';
      readonly places: ContextPlaces;
      /** `base/file-list.ts` */
      readonly list: readonly Uint8Array[];
      /** For the indexes of the files that are wanted. */
      readonly writeEnd: number;
      /** For their contents. */
      readonly readEnd: number;
      readonly limits: ContextLimits;
    }
  /** Of files that somebody else put there. `time`: theirs; null: as they are. `modes`: as they are, or those that contexts of git have (0644, 0755). */
  | {
      readonly kind: 'index';
      readonly places: ContextPlaces;
      readonly time: number | null;
      readonly modes: 'kept' | 'git';
      readonly limits: ContextLimits;
    }
  | { readonly kind: 'newest'; readonly index: string }
  /** Below `parent`. */
  | { readonly kind: 'remove'; readonly parent: string; readonly names: readonly string[] };

export interface WrittenContext {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly withheld?: ReadonlyMap<string, Uint8Array>;
}
