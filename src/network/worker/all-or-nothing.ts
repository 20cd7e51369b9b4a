/** A sequence of steps of which either all are done, or none: each tells how it is undone, and after a failure those are run backwards. */
import { errorText } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';

/** `what` stands in the log when undoing fails, too. */
export type Undo = (what: string, step: () => void) => void;

export async function allOrNothing<T>(log: Logger, work: (undo: Undo) => T | Promise<T>): Promise<T> {
  const steps: { what: string; step: () => void }[] = [];
  try {
    return await work((what, step) => steps.push({ what, step }));
  } catch (thrown) {
    for (const { what, step } of steps.reverse()) attempt(log, what, step);
    throw thrown;
  }
}

/** For ways that have to be gone to their end: what fails is logged, and the rest is done. */
export function attempt(log: Logger, what: string, step: () => void): void {
  try {
    step();
  } catch (thrown) {
    log.error({ error: errorText(thrown) }, `${what} failed`);
  }
}
