/** What a build tells, as JSON: times as RFC 3339, bytes as base64. */

import { EngineError, type ErrorCode, errorText } from '../../base/errors.ts';
import type { BuildError } from '../../build/build-error.ts';
import type { BuildEvent } from '../../build/build-event.ts';
import type { BuildFailure, BuildOutcome } from '../../build/builder.ts';

export function eventJson(event: BuildEvent): unknown {
  return { event: event.kind === 'log' ? { ...event, bytes: Buffer.from(event.bytes).toString('base64') } : event };
}

export function resultJson(outcome: BuildOutcome): unknown {
  return { result: outcome };
}

export function failureJson(thrown: unknown): { readonly code: ErrorCode; readonly failure: BuildFailure } {
  const code = thrown instanceof EngineError ? thrown.code : 'system';
  if (isBuildError(thrown)) return { code, failure: thrown.failure };
  return { code, failure: { message: errorText(thrown), exitCode: null, step: null, lastLines: [], excerpt: '', stateImage: null } };
}

function isBuildError(thrown: unknown): thrown is BuildError {
  return thrown instanceof EngineError && 'failure' in thrown;
}
