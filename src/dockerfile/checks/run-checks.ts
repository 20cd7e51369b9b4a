/** All build checks over one Dockerfile: what to tell, in the order of its lines, without what its author turned off. */

import { invalid } from '../../base/errors.ts';
import { type CheckOptions, parseCheckOptions, selects } from '../check-options.ts';
import { InstructionProblem } from '../dockerfile-error.ts';
import type { Dockerfile } from '../parse-dockerfile.ts';
import type { BuildSettings } from '../scope.ts';
import { casingRules, descriptionRule } from './casing-rules.ts';
import type { CheckContext, Rule, Warning } from './check.ts';
import { contextRules } from './context-rules.ts';
import { instructionRules } from './instruction-rules.ts';
import { stageRules } from './stage-rules.ts';
import { type BaseEnvironment, walkStages } from './stage-views.ts';
import { variableRules } from './variable-rules.ts';

export const rules: readonly Rule[] = [
  ...casingRules,
  ...stageRules,
  ...instructionRules,
  ...variableRules,
  ...contextRules,
  descriptionRule,
];

export interface CheckInput {
  readonly dockerfile: Dockerfile;
  readonly settings: BuildSettings;
  readonly isIgnored: ((path: string) => boolean) | null;
  readonly environmentOf: BaseEnvironment;
}

export interface CheckReport {
  readonly warnings: readonly Warning[];
  /** The author wants them to fail the build. */
  readonly areErrors: boolean;
}

export function runChecks({ dockerfile, settings, isIgnored, environmentOf }: CheckInput): CheckReport {
  const options = chosenOptions(dockerfile, settings);
  const { globals, views, unsetInFrom } = walkStages(dockerfile, settings, environmentOf);
  const context: CheckContext = { dockerfile, settings, globals, stages: views, unsetInFrom, isIgnored };
  const warnings = rules.filter((rule) => isOn(rule, options)).flatMap((rule) => warningsOf(rule, context));
  return { warnings: warnings.toSorted((a, b) => a.place.startLine - b.place.startLine), areErrors: options.error };
}

function warningsOf(rule: Rule, context: CheckContext): readonly Warning[] {
  return [...rule.look(context)]
    .filter(({ instruction }) => instruction === null || !selects(instruction.skippedRules, rule.name))
    .map(({ message, place }) => ({ rule: rule.name, message, place }));
}

function isOn(rule: Rule, options: CheckOptions): boolean {
  return rule.experimental ? selects(options.experimental, rule.name) : !selects(options.skip, rule.name);
}

/** The build argument takes the place of the directive. */
function chosenOptions(dockerfile: Dockerfile, settings: BuildSettings): CheckOptions {
  const given = settings.buildArguments.get('BUILDKIT_DOCKERFILE_CHECK');
  if (given === undefined) return dockerfile.directives.check;
  try {
    return parseCheckOptions(given);
  } catch (cause) {
    throw cause instanceof InstructionProblem ? invalid(`BUILDKIT_DOCKERFILE_CHECK: ${cause.message}`, { cause }) : cause;
  }
}
