/**
 * The one error type of the engine. Every error that a person can cause or see is an `EngineError`: a code from a
 * closed union, a message that says what could not be done to what, why, and what to do, and the cause.
 * The mapping from code to HTTP status exists once, in `api/`.
 */

export type ErrorCode =
  | 'invalid' // 400: the request itself is wrong
  | 'unauthorized' // 401
  | 'forbidden' // 403
  | 'not-found' // 404
  | 'conflict' // 409: right request, wrong moment
  | 'not-implemented' // 501: named in the message
  | 'unavailable' // 503
  | 'system'; // 500: the kernel, the disk or a defect of ours

export interface ErrorOptions {
  readonly cause?: unknown;
  /** Machine-readable facts for logs and tests; never secrets, never environment values. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export class EngineError extends Error {
  override readonly name: string = 'EngineError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** A failed system call: which call, on what, and the kernel's errno (a positive number and its name). */
export class SystemCallError extends EngineError {
  override readonly name = 'SystemCallError';
  readonly call: string;
  readonly errno: number;
  readonly errnoName: string;

  constructor(call: string, errno: number, errnoName: string, what: string) {
    super('system', `${call} ${what}: ${errnoName}`, { details: { call, errno, errnoName, what } });
    this.call = call;
    this.errno = errno;
    this.errnoName = errnoName;
  }
}

export function invalid(message: string, options?: ErrorOptions): EngineError {
  return new EngineError('invalid', message, options);
}

export function notFound(message: string, options?: ErrorOptions): EngineError {
  return new EngineError('not-found', message, options);
}

export function conflict(message: string, options?: ErrorOptions): EngineError {
  return new EngineError('conflict', message, options);
}

/** The message names the feature: `what` reads as "X is not supported yet". */
export function notImplemented(message: string, options?: ErrorOptions): EngineError {
  return new EngineError('not-implemented', message, options);
}

/** The text of any thrown value, for messages that embed a cause. */
export function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Narrows a Node system error (`ENOENT`, …) without trusting its shape. */
export function hasErrnoCode(thrown: unknown, ...codes: readonly string[]): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' && codes.includes(thrown.code);
}
