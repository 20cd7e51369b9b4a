/** How things are spelled: keywords, stage names, protocols. */
import { plainWords } from '../words.ts';
import { allInstructions, type CheckContext, type Finding, finding, ofStage, type Rule } from './check.ts';

type Casing = 'lower' | 'upper' | 'mixed';

export const casingRules: readonly Rule[] = [
  { name: 'StageNameCasing', description: 'Stage names are lower case', look: stageNames },
  { name: 'FromAsCasing', description: 'AS is spelled as FROM is', look: fromAs },
  { name: 'ConsistentInstructionCasing', description: 'All instructions are spelled in one case', look: instructions },
  { name: 'ExposeProtoCasing', description: 'Protocols of EXPOSE are lower case', look: protocols },
];

function* stageNames({ dockerfile }: CheckContext): Generator<Finding> {
  for (const { from } of dockerfile.stages) {
    const name = from.stage?.text;
    if (name !== undefined && name !== name.toLowerCase()) yield finding(from, `Stage name '${name}' should be lowercase`);
  }
}

function* fromAs({ dockerfile }: CheckContext): Generator<Finding> {
  for (const { from } of dockerfile.stages) {
    if (from.as === null || casing(from.keyword.text) === 'mixed' || casing(from.keyword.text) === casing(from.as.text)) continue;
    yield finding(from, `'${from.as.text}' and '${from.keyword.text}' keywords' casing do not match`);
  }
}

function* instructions({ dockerfile }: CheckContext): Generator<Finding> {
  const all = [...allInstructions(dockerfile)];
  const count = (wanted: Casing) => all.filter(({ keyword }) => casing(keyword.text) === wanted).length;
  const majority = count('lower') > count('upper') ? 'lower' : 'upper';
  for (const instruction of all) {
    const { text } = instruction.keyword;
    if (casing(text) === majority) continue;
    yield finding(instruction, `Command '${text}' should match the case of the command majority (${majority}case)`);
  }
}

function* protocols({ dockerfile }: CheckContext): Generator<Finding> {
  for (const instruction of dockerfile.stages.flatMap((stage) => [...ofStage(stage)])) {
    if (instruction.kind !== 'expose') continue;
    for (const { text } of instruction.ports) {
      const protocol = text.split('/')[1];
      if (protocol === undefined || protocol === protocol.toLowerCase() || protocol.includes('$')) continue;
      yield finding(instruction, `Defined protocol '${text}' in EXPOSE instruction should be lowercase`);
    }
  }
}

function casing(text: string): Casing {
  if (text === text.toUpperCase()) return 'upper';
  return text === text.toLowerCase() ? 'lower' : 'mixed';
}

/** A comment above FROM … AS or ARG is its description, and starts with its name. Experimental: people comment otherwise, too. */
export const descriptionRule: Rule = {
  name: 'InvalidDefinitionDescription',
  description: 'Comments above stages and arguments start with the name of what they describe',
  experimental: true,
  *look({ dockerfile }) {
    for (const instruction of allInstructions(dockerfile)) {
      const name =
        instruction.kind === 'from'
          ? instruction.stage?.text
          : instruction.kind === 'arg'
            ? instruction.arguments[0]?.name.text
            : undefined;
      const comment = instruction.line.comments.at(-1);
      if (name === undefined || comment === undefined || /^check\s*=/i.test(comment)) continue;
      if (plainWords({ text: comment, offset: 0 })[0]?.text === name) continue;
      yield finding(
        instruction,
        `Comment for ${instruction.kind === 'from' ? 'build stage' : 'build argument'} should follow the format: \`# ${name} <description>\``,
      );
    }
  },
};
