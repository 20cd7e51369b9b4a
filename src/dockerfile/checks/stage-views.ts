/** The stages of a Dockerfile gone through in order, each instruction with the variables that it used and nobody had set. */

import { defaultPath } from '../../oci/image-config.ts';
import { InstructionProblem } from '../dockerfile-error.ts';
import { type ExpandOptions, expand } from '../expand.ts';
import type { Instruction, Stage } from '../instruction.ts';
import { expandedWords } from '../instruction-words.ts';
import type { Dockerfile } from '../parse-dockerfile.ts';
import { type BuildSettings, GlobalScope, StageScope } from '../scope.ts';

export interface StageView {
  readonly stage: Stage;
  readonly index: number;
  /** The stage it stands on; null: an image, or scratch. */
  readonly base: StageView | null;
  /** Expanded; empty when that failed. */
  readonly image: string;
  /** What the image brings is known: it is scratch, or its environment was handed in. */
  readonly baseIsKnown: boolean;
  readonly unset: readonly UnsetVariable[];
}

export interface UnsetVariable {
  readonly name: string;
  readonly instruction: Instruction;
  /** Names that it could have been. */
  readonly known: readonly string[];
}

/** Of an image that is here; null: not known. */
export type BaseEnvironment = (image: string) => ReadonlyMap<string, string> | null;

export interface StageWalk {
  readonly globals: GlobalScope;
  readonly views: readonly StageView[];
  readonly unsetInFrom: readonly UnsetVariable[];
}

const scratchEnvironment: ReadonlyMap<string, string> = new Map([['PATH', defaultPath]]);

export function walkStages(dockerfile: Dockerfile, settings: BuildSettings, environmentOf: BaseEnvironment): StageWalk {
  const globals = new GlobalScope(settings);
  const unsetInFrom: UnsetVariable[] = [];
  const escapeToken = dockerfile.directives.escape;
  for (const instruction of dockerfile.globals) {
    if (instruction.kind !== 'arg') continue;
    for (const { name, value } of instruction.arguments) {
      globals.declare(name.text, value && (() => lenient(value.text, { variables: globals, escape: escapeToken })));
    }
  }
  const walked: { readonly view: StageView; readonly scope: StageScope }[] = [];
  for (const [index, stage] of dockerfile.stages.entries()) {
    const image = expandFrom(stage, globals, escapeToken, unsetInFrom);
    const below = walked.findLast(({ view }) => view.stage.name === image) ?? null;
    const environment = image === 'scratch' ? scratchEnvironment : below ? null : environmentOf(image);
    const scope = below?.scope.child() ?? StageScope.onImage(globals, environment ?? new Map());
    const unset = stage.instructions.flatMap((instruction) => applyInstruction(instruction, scope, escapeToken));
    const baseIsKnown = below?.view.baseIsKnown ?? environment !== null;
    walked.push({ view: { stage, index, base: below?.view ?? null, image, baseIsKnown, unset }, scope });
  }
  return { globals, views: walked.map(({ view }) => view), unsetInFrom };
}

function expandFrom(stage: Stage, globals: GlobalScope, escapeToken: string, unset: UnsetVariable[]): string {
  const known = [...globals.names()];
  const onUnset = (name: string) => {
    if (!globals.isDeclared(name)) unset.push({ name, instruction: stage.from, known });
  };
  const options = { variables: globals, escape: escapeToken, onUnset };
  if (stage.from.platform) lenient(stage.from.platform.text, options);
  return lenient(stage.from.image.text, options);
}

/** Changes the scope as the instruction does; tells what it used and nobody set. */
function applyInstruction(instruction: Instruction, scope: StageScope, escapeToken: string): readonly UnsetVariable[] {
  const unset = new Set<string>();
  // Only when it is told: there are thousands in a hostile file.
  let known: readonly string[] = [];
  const options = (variables: ExpandOptions['variables']): ExpandOptions => ({
    variables,
    escape: escapeToken,
    // Declared without a value: that was meant.
    onUnset: (name) => {
      if (scope.declaredArguments.has(name)) return;
      unset.add(name);
      if (known.length === 0) known = [...scope.names()];
    },
  });
  if (instruction.kind === 'arg') {
    for (const { name, value } of instruction.arguments)
      leniently(() => scope.declareArgument(name.text, value && (() => lenient(value.text, options(scope)))), undefined);
  } else {
    const before = options(scope);
    const values = expandedWords(instruction).map((word) => lenient(word.text, before));
    if (instruction.kind === 'env') {
      for (const [index] of instruction.pairs.entries())
        leniently(() => scope.setEnvironment(values[index * 2] ?? '', values[index * 2 + 1] ?? ''), undefined);
    }
  }
  return [...unset].map((name) => ({ name, instruction, known }));
}

function lenient(text: string, options: ExpandOptions): string {
  return leniently(() => expand(text, options), '');
}

/** A check goes on where a build would stop: the error is told by whoever builds. */
function leniently<T>(work: () => T, otherwise: T): T {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof InstructionProblem) return otherwise;
    throw thrown;
  }
}
