/** Who shows a build to a person or a program. */
import type { BuildProgress } from '../../../client/build-types.ts';

export interface BuildDisplay {
  show(event: BuildProgress): void;
  /** Nothing comes any more, well or not: what is drawn is complete and stays. */
  end(): void;
}

/** Only the result counts. */
export const quietDisplay: BuildDisplay = { show() {}, end() {} };
