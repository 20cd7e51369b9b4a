/** What a build check is: a rule that looks at a parsed Dockerfile and tells what will surprise its author. Names and triggers are BuildKit's. */
import type { Instruction, Stage } from '../instruction.ts';
import type { Dockerfile } from '../parse-dockerfile.ts';
import type { BuildSettings, GlobalScope } from '../scope.ts';
import type { Place } from '../source-range.ts';
import type { StageView, UnsetVariable } from './stage-views.ts';

export interface CheckContext {
  readonly dockerfile: Dockerfile;
  readonly settings: BuildSettings;
  readonly globals: GlobalScope;
  readonly stages: readonly StageView[];
  /** Variables of FROM that nobody declared. */
  readonly unsetInFrom: readonly UnsetVariable[];
  /** Whether the context hides a path; null: there is no context to look at. */
  readonly isIgnored: ((path: string) => boolean) | null;
}

export interface Warning {
  readonly rule: string;
  readonly message: string;
  readonly place: Place;
}

export interface Rule {
  readonly name: string;
  readonly description: string;
  /** Only when it is asked for. */
  readonly experimental?: boolean;
  look(context: CheckContext): Iterable<Finding>;
}

export interface Finding {
  readonly message: string;
  readonly place: Place;
  /** Whose comments may turn the rule off. */
  readonly instruction: Pick<Instruction, 'skippedRules'> | null;
}

export function finding(
  instruction: Pick<Instruction, 'place' | 'skippedRules'>,
  message: string,
  place: Place = instruction.place,
): Finding {
  return { message, place, instruction };
}

/** Every instruction, with those of FROM, in the order of the file. */
export function* allInstructions({ globals, stages }: Dockerfile): Generator<Instruction> {
  yield* globals;
  for (const stage of stages) yield* ofStage(stage);
}

export function* ofStage(stage: Stage): Generator<Instruction> {
  yield stage.from;
  yield* stage.instructions;
}
