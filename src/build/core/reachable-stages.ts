/** The stages that a target needs, seen from the file alone: names that hold variables count for nothing. */
import type { Instruction, Stage } from '../../dockerfile/instruction.ts';
import type { Dockerfile } from '../../dockerfile/parse-dockerfile.ts';
import { mountSourceNames } from '../plan/run-mounts.ts';

/** In the order of the file. A flag that can't be read counts for nothing either: whoever plans the build says so, with its place. */
export function reachableStages({ stages }: Dockerfile, target: string | null): readonly Stage[] {
  const seen = new Set<number>();
  const visit = (index: number): void => {
    const stage = stages[index];
    if (stage === undefined || seen.has(index)) return;
    seen.add(index);
    for (const name of namesIn(stage)) visit(stageNamed(stages, name, index));
  };
  visit(target === null ? stages.length - 1 : stages.findLastIndex(({ name }) => name === target.toLowerCase()));
  return stages.filter((_, index) => seen.has(index));
}

/** What it stands on and takes from: stages, contexts or images. */
export function namesIn(stage: Stage): readonly string[] {
  return [stage.from.image.text, ...stage.instructions.flatMap(sourceNames)];
}

/** -1: it is none, or not above. */
function stageNamed(stages: readonly Stage[], name: string, before: number): number {
  if (/^\d+$/.test(name)) return Number(name) < before ? Number(name) : -1;
  return stages.findLastIndex((stage, at) => at < before && stage.name === name.toLowerCase());
}

function sourceNames(instruction: Instruction): readonly string[] {
  if (instruction.kind === 'copy') return instruction.flags.list('from').map(({ text }) => text);
  if (instruction.kind !== 'run') return [];
  try {
    return mountSourceNames(instruction.flags.list('mount'));
  } catch {
    return [];
  }
}
