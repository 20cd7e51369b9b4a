/**
 * NVIDIA_REQUIRE_*: what an image needs of the driver, `cuda>=12.1 brand=tesla,driver>=470,driver<471`. Spaces part alternatives, commas what has to hold together;
 * several variables all have to be met. What is not known of this machine counts as met: it is the program's to find out.
 */
import { invalid } from '../../base/errors.ts';
import type { Environment } from './gpu-environment.ts';
import { quoted } from './quoted.ts';

/** Of this machine; null: not known. */
export interface DriverFacts {
  readonly driver: string;
  readonly cuda: string | null;
}

const longestCondition = 80;
const prefix = 'NVIDIA_REQUIRE_';
/** Of another kind of machine (Tegra), which the vendor's own tools leave out too. */
const otherMachines = 'NVIDIA_REQUIRE_JETPACK';
const disable = 'NVIDIA_DISABLE_REQUIRE';
const operators = ['!=', '<=', '>=', '=', '<', '>'] as const;
type Operator = (typeof operators)[number];

/** Names and texts of the requirements of an environment; empty when they are switched off. */
export function requirementsOf(environment: Environment): readonly (readonly [name: string, text: string])[] {
  if (/^(1|t|true)$/i.test(environment.get(disable) ?? '')) return [];
  return [...environment].filter(([name, text]) => name.startsWith(prefix) && !name.startsWith(otherMachines) && text.trim() !== '');
}

/** Throws for the first that is not met, naming what is needed and what is here. */
export function checkRequirements(requirements: readonly (readonly [name: string, text: string])[], facts: DriverFacts): void {
  for (const [name, text] of requirements) {
    const alternatives = text.split(' ').filter((term) => term !== '');
    if (alternatives.some((term) => mayHold(term, name, facts))) continue;
    const here = facts.cuda === null ? `the driver ${facts.driver}` : `the driver ${facts.driver}, which offers CUDA ${facts.cuda}`;
    throw invalid(
      `unsatisfied condition: ${needed(alternatives)} (the image says ${name}=${quoted(text)}), but this machine has ${here}. ` +
        `Update the NVIDIA driver, use an image for an older CUDA, or set ${disable}=1 to try it anyway`,
      { details: { name, driver: facts.driver, cuda: facts.cuda } },
    );
  }
}

/** All conditions of an alternative hold, or may. */
function mayHold(term: string, name: string, facts: DriverFacts): boolean {
  return term
    .split(',')
    .filter((condition) => condition !== '')
    .every((condition) => conditionHolds(condition, name, facts) !== false);
}

/** Null: nobody knows. */
function conditionHolds(condition: string, name: string, facts: DriverFacts): boolean | null {
  const at = condition.search(/[<>=!]/);
  const rest = condition.slice(at);
  const operator = at <= 0 ? undefined : operators.find((each) => rest.startsWith(each));
  if (operator === undefined) throw malformed(name, condition);
  const property = condition.slice(0, at);
  const value = rest.slice(operator.length);
  if (property !== 'cuda' && property !== 'driver') return null;
  if (!/^\d+(\.\d+)*$/.test(value)) throw malformed(name, condition);
  const present = facts[property];
  return present === null ? null : compares(compareVersions(present, value), operator);
}

function malformed(name: string, condition: string) {
  return invalid(
    `${name} has the condition ${quoted(condition)}, which is none: write cuda>=12.1 or driver>=535, or set ${disable}=1 to leave it out`,
  );
}

function compares(order: number, operator: Operator): boolean {
  switch (operator) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}

export function compareVersions(one: string, other: string): number {
  const [left, right] = [one, other].map((text) => text.split('.').map((part) => Number.parseInt(part, 10) || 0));
  const length = Math.max(left?.length ?? 0, right?.length ?? 0);
  for (let index = 0; index < length; index += 1) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The first alternative is what the image is made for; the others are exceptions. */
function needed(alternatives: readonly string[]): string {
  const [first = ''] = alternatives;
  return first.length > longestCondition ? `${first.slice(0, longestCondition)}…` : first.replaceAll(',', ' and ');
}
