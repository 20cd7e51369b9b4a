/** Variables that nobody set, and values that should be secrets. */
import { nearest } from '../../base/near-miss.ts';
import type { Instruction } from '../instruction.ts';
import { looksSecret } from '../secret-names.ts';
import { allInstructions, type CheckContext, type Finding, finding, type Rule } from './check.ts';

export const variableRules: readonly Rule[] = [
  { name: 'UndefinedVar', description: 'Variables are declared before they are used', look: undefinedVariables },
  { name: 'SecretsUsedInArgOrEnv', description: 'ARG and ENV stay in the image: secrets are mounted', look: secrets },
];

/** An image that is not here may set anything: then only what looks like a slip of the pen is told. */
function* undefinedVariables({ stages }: CheckContext): Generator<Finding> {
  for (const { unset, baseIsKnown } of stages) {
    for (const { name, instruction, known } of unset) {
      const meant = nearest(name, known);
      if (meant === null && !baseIsKnown) continue;
      yield finding(instruction, `Usage of undefined variable '$${name}'${meant === null ? '' : ` (did you mean $${meant}?)`}`);
    }
  }
}

function* secrets({ dockerfile }: CheckContext): Generator<Finding> {
  for (const instruction of allInstructions(dockerfile)) {
    for (const name of namesOf(instruction).filter(looksSecret)) {
      yield finding(
        instruction,
        `Do not use ARG or ENV instructions for sensitive data (${instruction.kind.toUpperCase()} ${JSON.stringify(name)})`,
      );
    }
  }
}

function namesOf(instruction: Instruction): readonly string[] {
  if (instruction.kind === 'arg') return instruction.arguments.map(({ name }) => name.text);
  return instruction.kind === 'env' ? instruction.pairs.map(({ key }) => key.text) : [];
}
