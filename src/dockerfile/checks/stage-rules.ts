/** FROM: names of stages, platforms, and what its variables come to. */
import { nearest } from '../../base/near-miss.ts';
import { parseReference } from '../../oci/reference.ts';
import { type CheckContext, type Finding, finding, type Rule } from './check.ts';
import { walkStages } from './stage-views.ts';

export const stageRules: readonly Rule[] = [
  { name: 'DuplicateStageName', description: 'Every stage has a name of its own', look: duplicates },
  { name: 'ReservedStageName', description: 'No stage is called scratch or context', look: reserved },
  { name: 'RedundantTargetPlatform', description: 'The target platform is the default', look: redundantPlatform },
  { name: 'FromPlatformFlagConstDisallowed', description: 'A fixed --platform keeps others from building for theirs', look: fixedPlatform },
  { name: 'UndefinedArgInFrom', description: 'Arguments of FROM are declared before the first FROM', look: undeclared },
  { name: 'InvalidDefaultArgInFrom', description: 'FROM names an image without any --build-arg', look: invalidByDefault },
];

function* duplicates({ dockerfile }: CheckContext): Generator<Finding> {
  const seen = new Set<string>();
  for (const { from, name } of dockerfile.stages) {
    if (name === null) continue;
    if (seen.has(name)) yield finding(from, `Duplicate stage name ${JSON.stringify(from.stage?.text)}, stage names should be unique`);
    seen.add(name);
  }
}

function* reserved({ dockerfile }: CheckContext): Generator<Finding> {
  for (const { from, name } of dockerfile.stages) {
    if (name !== 'scratch' && name !== 'context') continue;
    yield finding(from, `Stage name should not use the same name as reserved stage ${JSON.stringify(name)}`);
  }
}

function* redundantPlatform({ dockerfile }: CheckContext): Generator<Finding> {
  for (const { from } of dockerfile.stages) {
    if (!/^\$(TARGETPLATFORM|\{TARGETPLATFORM\})$/.test(from.platform?.text ?? '')) continue;
    yield finding(from, `Setting platform to predefined ${from.platform?.text} in FROM is redundant as this is the default behavior`);
  }
}

/** A stage that carries the platform in its name is meant to be that one. */
function* fixedPlatform({ dockerfile }: CheckContext): Generator<Finding> {
  for (const { from, name } of dockerfile.stages) {
    const platform = from.platform?.text;
    if (platform === undefined || platform.includes('$')) continue;
    if (platform.split('/').some((part) => name?.includes(part.toLowerCase()))) continue;
    yield finding(from, `FROM --platform flag should not use constant value ${JSON.stringify(platform)}`);
  }
}

function* undeclared({ unsetInFrom, globals }: CheckContext): Generator<Finding> {
  for (const { name, instruction, known } of unsetInFrom) {
    const meant = nearest(name, [...known, ...globals.names()]);
    yield finding(instruction, `FROM argument '${name}' is not declared${meant === null ? '' : ` (did you mean ${meant}?)`}`);
  }
}

function* invalidByDefault({ dockerfile, settings }: CheckContext): Generator<Finding> {
  const { views } = walkStages(dockerfile, { ...settings, buildArguments: new Map() }, () => null);
  for (const { stage, image } of views) {
    const written = stage.from.image.text;
    if (!written.includes('$') || isReference(image)) continue;
    yield finding(stage.from, `Default value for ARG ${written} results in empty or invalid base image name`);
  }
}

function isReference(text: string): boolean {
  try {
    parseReference(text);
    return true;
  } catch {
    return false;
  }
}
