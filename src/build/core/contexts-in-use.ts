/**
 * Which contexts a build will surely read, seen from its file alone: they are asked for while base images are pulled. What only shows later (triggers of a base image, names that hold
 * variables) is asked for then.
 */
import type { Instruction } from '../../dockerfile/instruction.ts';
import type { Dockerfile } from '../../dockerfile/parse-dockerfile.ts';
import type { BuildRequest } from '../build-request.ts';
import { namesIn, reachableStages } from './reachable-stages.ts';

export function contextsInUse(dockerfile: Dockerfile, request: Pick<BuildRequest, 'target' | 'namedContexts'>): readonly string[] {
  const stages = reachableStages(dockerfile, request.target);
  const names = stages.flatMap((stage) => [...namesIn(stage), ...(stage.name === null ? [] : [stage.name])]);
  const named = names.filter((name) => request.namedContexts.get(name)?.kind === 'client');
  const isRead = stages.some(({ instructions }) => instructions.some(readsContext));
  return [...new Set([...named, ...(isRead ? [''] : [])])];
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
