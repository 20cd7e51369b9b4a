/**
 * Calls of the net worker as they cross threads.
 *
 *     {id, call, args}                  ──▶ worker
 *     {id, value} | {id, failure}       ◀── worker
 *     {notice}                          ◀── worker
 */
import { EngineError, type ErrorCode } from '../base/errors.ts';
import type { NetCalls, NetNotice } from './net-calls.ts';

export interface NetRequest {
  readonly id: number;
  readonly call: keyof NetCalls;
  readonly args: readonly unknown[];
}

export type NetReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: NetFailure }
  | { readonly notice: NetNotice };

export interface NetFailure {
  readonly code: ErrorCode;
  readonly message: string;
  /** Only what can be cloned: texts and numbers. */
  readonly details: Readonly<Record<string, string | number>>;
}

export function failureOf(thrown: unknown): NetFailure {
  if (!(thrown instanceof EngineError)) {
    // A defect of ours: the stack says where.
    return { code: 'system', message: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown), details: {} };
  }
  const details = Object.entries(thrown.details).filter(
    (entry): entry is [string, string | number] => typeof entry[1] === 'string' || typeof entry[1] === 'number',
  );
  return { code: thrown.code, message: thrown.message, details: Object.fromEntries(details) };
}

export function errorOfFailure({ code, message, details }: NetFailure): EngineError {
  return new EngineError(code, message, { details });
}
