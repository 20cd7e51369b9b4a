/** What COPY and ADD ask of a context that hides it. */
import { type CheckContext, type Finding, finding, type Rule } from './check.ts';

export const contextRules: readonly Rule[] = [
  { name: 'CopyIgnoredFile', description: 'What is copied is not hidden by .dockerignore', look: ignored },
];

function* ignored({ dockerfile, isIgnored }: CheckContext): Generator<Finding> {
  if (isIgnored === null) return;
  for (const instruction of dockerfile.stages.flatMap((stage) => stage.instructions)) {
    if ((instruction.kind !== 'copy' && instruction.kind !== 'add') || instruction.flags.text('from') !== null) continue;
    for (const source of instruction.sources) {
      if (source.kind !== 'path' || !isLocalPath(source.word.text) || !isIgnored(cleaned(source.word.text))) continue;
      const verb = instruction.kind === 'copy' ? 'Copy' : 'Add';
      yield finding(instruction, `Attempting to ${verb} file ${JSON.stringify(source.word.text)} that is excluded by .dockerignore`);
    }
  }
}

function isLocalPath(text: string): boolean {
  return !/[$*?[]/.test(text) && !/^(https?:|git@|ssh:|git:)/.test(text);
}

function cleaned(path: string): string {
  return path.replace(/^[./]*\//, '').replace(/\/+$/, '');
}
