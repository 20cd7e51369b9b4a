/** Errors of planning: the word or the instruction that is to blame, with its place in the file. */
import { DockerfileError, InstructionProblem } from '../../dockerfile/dockerfile-error.ts';
import type { InstructionSource } from '../../dockerfile/instruction.ts';
import { positionAt } from '../../dockerfile/line-reader.ts';
import type { Place } from '../../dockerfile/source-range.ts';

/** Of errors that are nobody's mistake in the file, and have a place in it all the same: an image that cannot be had. */
const places = new WeakMap<object, Place>();

/** What goes wrong inside is told with the instruction's place. */
export function located<T>(instruction: InstructionSource, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw atInstruction(instruction, thrown);
  }
}

export function atInstruction({ place, line }: InstructionSource, thrown: unknown): unknown {
  if (!(thrown instanceof InstructionProblem)) {
    if (thrown instanceof Error && !places.has(thrown)) places.set(thrown, place);
    return thrown;
  }
  const { word, fix, message } = thrown;
  const at = word === null ? {} : { at: { ...positionAt(line, word.offset), length: Math.max(1, word.length) } };
  return new DockerfileError([{ message, place: { ...place, ...at }, ...(fix === null ? {} : { fix }) }]);
}

/** The instruction that an error other than a `DockerfileError` arose at; null: not known. */
export function placeOf(thrown: unknown): Place | null {
  return thrown instanceof Error ? (places.get(thrown) ?? null) : null;
}
