/** What a registry, or the way to it, answered instead of what was asked for. */
import { EngineError, type ErrorCode, type ErrorOptions } from '../base/errors.ts';

export interface RegistryFailure {
  /** `host[:port]` that was asked. */
  readonly host: string;
  /** Null: no answer came (connection refused, time-out, a name that is not known). */
  readonly status: number | null;
  /** The specification's code (`MANIFEST_UNKNOWN`, `DENIED`, …); null where the answer had none. */
  readonly registryCode: string | null;
  /** Another attempt may help. */
  readonly retryable: boolean;
  /** `Retry-After`, in milliseconds. */
  readonly retryAfterMs?: number;
}

export class RegistryError extends EngineError {
  override readonly name = 'RegistryError';
  readonly failure: RegistryFailure;

  constructor(code: ErrorCode, message: string, failure: RegistryFailure, options: Pick<ErrorOptions, 'cause'> = {}) {
    super(code, message, { ...options, details: { ...failure } });
    this.failure = failure;
  }
}
