/** A defect in one request must not end the others'; after an uncaught exception nothing is sure any more, so the process ends. `ends`: what that means, for the log. */
import { errorText } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export function watchDefects(logger: Logger, ends: string): void {
  process.on('unhandledRejection', (reason) => {
    logger.error(
      { error: errorText(reason), stack: reason instanceof Error ? reason.stack : undefined },
      'defect: a promise was rejected unseen',
    );
  });
  process.on('uncaughtException', (error) => {
    logger.error({ error: errorText(error), stack: error.stack }, `defect: ${ends}`);
    process.exit(2);
  });
}
