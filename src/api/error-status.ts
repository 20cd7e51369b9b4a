/** The one place where an error becomes an HTTP status and a body. */
import { EngineError, type ErrorCode, errorText } from '../base/errors.ts';

const statusOfCode: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'not-implemented': 501,
  unavailable: 503,
  system: 500,
};

export interface ErrorResponse {
  readonly status: number;
  readonly message: string;
  /** A defect of ours, or the kernel's or the disk's refusal: worth a line in the log. */
  readonly worthLogging: boolean;
}

export function errorResponse(thrown: unknown): ErrorResponse {
  if (thrown instanceof EngineError)
    return { status: statusOfCode[thrown.code], message: thrown.message, worthLogging: thrown.code === 'system' };
  return { status: 500, message: errorText(thrown), worthLogging: true };
}

export function errorBody(message: string): string {
  return `${JSON.stringify({ message })}\n`;
}
