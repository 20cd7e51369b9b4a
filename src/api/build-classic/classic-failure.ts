/** A failed build in the classic builder's words, which clients match on. */
import { EngineError, errorText, invalid } from '../../base/errors.ts';
import type { BuildErrorShape } from '../../build/builder.ts';

export interface ClassicFailure {
  readonly message: string;
  /** The docker CLI exits with it. */
  readonly exitCode: number | null;
  /** Part of the Dockerfile; empty: none. */
  readonly excerpt: string;
}

export function classicFailure(error: unknown): ClassicFailure {
  if (!isBuildError(error)) return { message: errorText(error), exitCode: null, excerpt: '' };
  const { message, exitCode, excerpt } = error.failure;
  return { message: exitCode === null ? message : nonZero(message, exitCode), exitCode, excerpt };
}

function isBuildError(error: unknown): error is BuildErrorShape {
  return error instanceof EngineError && 'failure' in error;
}

/** `process "/bin/sh -c exit 3" did not complete successfully: exit code: 3` → `The command '/bin/sh -c exit 3' returned a non-zero code: 3` */
function nonZero(message: string, exitCode: number): string {
  const [, command, rest] = /^process "(.*)" did not complete successfully: exit code: \d+(.*)$/s.exec(message) ?? [];
  return command === undefined ? message : `The command '${command}' returned a non-zero code: ${exitCode}${rest}`;
}

/**
 * What is wrong with the request, its context or the Dockerfile, as an HTTP error; null: the build itself failed, which the stream tells.
 * `readsImages`: the Dockerfile was read, its base images were asked for.
 */
export function requestFault(error: unknown, readsImages: boolean): unknown {
  if (!(error instanceof EngineError)) return readsImages ? null : error;
  const [, name] = /^failed to read dockerfile: open (.+): no such file or directory$/.exec(error.message) ?? [];
  if (name !== undefined) return invalid(`Cannot locate specified Dockerfile: ${name}`, { cause: error });
  // At a 401 Docker's client would ask for a login, and wait.
  if (error.code === 'unauthorized') return readsImages ? null : new EngineError('forbidden', error.message, { cause: error });
  return !readsImages || error.code === 'invalid' || error.code === 'not-implemented' ? error : null;
}
