/** What a thread of `tree-threads.ts` is asked for. */
import type { CheckJob } from './check-layer.ts';
import type { CompareJob } from './compare-trees.ts';

export type TreeJob = CompareJob | CheckJob;
