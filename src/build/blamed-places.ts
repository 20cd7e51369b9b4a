/** Which lines of the Dockerfile an error is about, for protocols that have a place for them. */
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import type { Place } from '../dockerfile/source-range.ts';

/** Empty: it says nothing of the file. */
export function blamedPlaces(thrown: unknown): readonly Place[] {
  for (let error = thrown; error instanceof Error; error = error.cause)
    if (error instanceof DockerfileError) return error.problems.map(({ place }) => place);
  return [];
}
