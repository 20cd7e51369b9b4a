/**
 * Which contexts a build will surely read, seen from its file alone: they are asked for while base images are pulled. What only shows later (triggers of a base image, names that hold
 * variables) is asked for then.
 */
import type { Instruction, Stage } from '../../dockerfile/instruction.ts';
import type { Dockerfile } from '../../dockerfile/parse-dockerfile.ts';
import type { BuildRequest } from '../build-request.ts';
import { mountSourceNames } from '../plan/run-mounts.ts';

export function contextsInUse(
  { stages }: Dockerfile,
  { target, namedContexts }: Pick<BuildRequest, 'target' | 'namedContexts'>,
): readonly string[] {
  const last = target === null ? stages.length - 1 : stages.findLastIndex(({ name }) => name === target.toLowerCase());
  const used = new Set<string>();
  const seen = new Set<number>();
  const visit = (index: number): void => {
    const stage = stages[index];
    if (stage === undefined || seen.has(index)) return;
    seen.add(index);
    const names = [stage.from.image.text, ...(stage.name === null ? [] : [stage.name]), ...stage.instructions.flatMap(sourceNames)];
    for (const name of names) if (namedContexts.get(name)?.kind === 'client') used.add(name);
    if (stage.instructions.some(readsContext)) used.add('');
    for (const name of names) visit(stageNamed(stages, name, index));
  };
  try {
    visit(last);
  } catch {
    // A flag that can't be read: whoever plans the build says so, with its place.
  }
  return [...used];
}

/** -1: it is none, or its own. */
function stageNamed(stages: readonly Stage[], name: string, before: number): number {
  if (/^\d+$/.test(name)) return Number(name) < before ? Number(name) : -1;
  return stages.findLastIndex((stage, at) => at < before && stage.name === name.toLowerCase());
}

function sourceNames(instruction: Instruction): readonly string[] {
  if (instruction.kind === 'copy') return [instruction.flags.text('from') ?? []].flat();
  return instruction.kind === 'run' ? mountSourceNames(instruction.flags.list('mount')) : [];
}

function readsContext(instruction: Instruction): boolean {
  if (instruction.kind === 'run') return instruction.flags.list('mount').some(({ text }) => isContextMount(text));
  if (instruction.kind !== 'copy' && instruction.kind !== 'add') return false;
  if (instruction.flags.text('from') !== null) return false;
  return instruction.sources.some((source) => source.kind === 'path' && !/^(https?:|git@|git:|ssh:)|\$/.test(source.word.text));
}

/** Of type bind, which is what it is unless it says something else, and from nowhere else. */
function isContextMount(text: string): boolean {
  return !/(^|,)"?from=/i.test(text) && (!/(^|,)"?type=/i.test(text) || /(^|,)"?type=bind\b/i.test(text));
}
