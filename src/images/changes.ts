/** `--change` of import and commit: Dockerfile instructions that alter nothing but the image's config. */
import { errorText, invalid } from '../base/errors.ts';
import { applyToConfig, type ConfigState } from '../dockerfile/apply-config.ts';
import { DockerfileError } from '../dockerfile/dockerfile-error.ts';
import type { Instruction } from '../dockerfile/instruction.ts';
import { parseDockerfile } from '../dockerfile/parse-dockerfile.ts';
import type { ImageRunConfig } from '../oci/image-config.ts';

/** SHELL is none of them, as in Docker. */
const allowed = ['cmd', 'entrypoint', 'env', 'expose', 'healthcheck', 'label', 'onbuild', 'stopsignal', 'user', 'volume', 'workdir'];

/** The config with the changes applied, in order; `invalid` names the instruction that can't be. */
export function applyChanges(config: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  const state: ConfigState = { config: { ...config }, commandSet: false };
  for (const instruction of changes.flatMap(readChange)) {
    const variables = new Map((state.config.Env ?? []).map(splitAssignment));
    try {
      applyToConfig(instruction, state, { variables });
    } catch (cause) {
      throw invalid(`cannot apply the change ${JSON.stringify(instruction.line.text)}: ${errorText(cause)}`, { cause });
    }
  }
  return state.config;
}

/** A change may hold several instructions, continued and commented as in a file. */
function readChange(change: string): readonly Instruction[] {
  const instructions = parsed(change);
  const strange = instructions.find(({ kind }) => !allowed.includes(kind));
  if (strange === undefined) return instructions;
  throw invalid(`${strange.kind} is not a valid change command: use one of ${allowed.join(', ').toUpperCase()}`);
}

function parsed(change: string): readonly Instruction[] {
  try {
    return parseDockerfile(`FROM scratch\n${change}`).stages.flatMap(({ from, instructions }, index) =>
      index === 0 ? instructions : [from, ...instructions],
    );
  } catch (cause) {
    if (!(cause instanceof DockerfileError)) throw cause;
    const [{ message, fix } = { message: cause.message, fix: undefined }] = cause.problems;
    throw invalid(`cannot apply the change ${JSON.stringify(change)}: ${message}${fix === undefined ? '' : ` (${fix})`}`, { cause });
  }
}

function splitAssignment(entry: string): readonly [string, string] {
  const at = entry.indexOf('=');
  return at === -1 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}
