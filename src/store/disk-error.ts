/** What the disk says of a write, in words that tell what could not be written where. */
import { EngineError, hasErrnoCode } from '../base/errors.ts';

export function diskError(thrown: unknown, what: string, where: string): unknown {
  if (!hasErrnoCode(thrown, 'ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE', 'EFBIG')) return thrown;
  const why = { ENOSPC: 'no space left on device', EDQUOT: 'disk quota exceeded' }[thrown.code ?? ''] ?? thrown.message;
  return new EngineError('system', `cannot write ${what} to ${where}: ${why}`, { cause: thrown, details: { errno: thrown.code } });
}
