/** A build that failed, with everything that a client shows of it. */
import { EngineError, type ErrorCode, errorText } from '../base/errors.ts';
import { DockerfileError, excerpt } from '../dockerfile/dockerfile-error.ts';
import type { Place } from '../dockerfile/source-range.ts';
import type { BuildErrorShape, BuildFailure } from './builder.ts';
import { ProcessFailure } from './run/run-work.ts';

export class BuildError extends EngineError implements BuildErrorShape {
  override readonly name = 'BuildError';
  readonly failure: BuildFailure;

  constructor(failure: BuildFailure, code: ErrorCode = 'invalid', cause?: unknown) {
    super(code, failure.message, cause === undefined ? {} : { cause });
    this.failure = failure;
  }
}

/** What is said of builds, steps and transfers that somebody gave up. */
export const cancelledText = 'context canceled';

/** The Dockerfile that the failure is about; null: it is not known yet, or not to blame. */
export interface BlamedFile {
  readonly name: string;
  readonly text: string;
}

export interface BlamedStep {
  /** `[2/2] RUN make`; null: it happened before anything was done for the instruction. */
  readonly title: string | null;
  readonly place: Place;
  readonly lastLines: readonly string[];
}

export function failureOf(thrown: unknown, file: BlamedFile | null, step: BlamedStep | null): BuildFailure {
  const place = thrown instanceof DockerfileError ? null : (step?.place ?? null);
  const places = thrown instanceof DockerfileError ? thrown.problems.map((problem) => problem.place) : place === null ? [] : [place];
  return {
    message: errorText(thrown),
    exitCode: thrown instanceof ProcessFailure ? thrown.exitCode : null,
    step: step?.title ?? null,
    lastLines: step?.lastLines ?? [],
    excerpt: file === null ? '' : places.map((each) => excerpt(file.text, file.name, each)).join('\n'),
    stateImage: null,
  };
}

export function codeOf(thrown: unknown): ErrorCode {
  return thrown instanceof EngineError ? thrown.code : 'system';
}

/** Without step and place: nothing of the file is to blame. */
export function plainFailure(message: string): BuildFailure {
  return { message, exitCode: null, step: null, lastLines: [], excerpt: '', stateImage: null };
}
