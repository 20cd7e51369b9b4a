/** What a person can do about a disk that filled during a pull, whether a download or its unpacking met it first. */
import { EngineError, hasErrnoCode } from '../base/errors.ts';

/** Other errors as they are. */
export function withFullDiskAdvice(error: unknown): unknown {
  if (!(error instanceof EngineError) || !isFullDisk(error)) return error;
  return new EngineError(
    error.code,
    `${error.message}. Free some space (gantry system df shows what takes it, gantry system prune frees it) and pull again: what was fetched is kept, and the pull goes on where it ended`,
    { cause: error, details: error.details },
  );
}

/** A worker's error came as text. */
function isFullDisk({ cause, message }: EngineError): boolean {
  return hasErrnoCode(cause, 'ENOSPC', 'EDQUOT') || /\b(ENOSPC|EDQUOT)\b/.test(message);
}
