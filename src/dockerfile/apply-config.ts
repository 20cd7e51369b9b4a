/** What an instruction does to the config of an image: the same for a build, for `commit --change` and for `import --change`. */
import { constants } from 'node:os';
import { posix } from 'node:path';
import type { ImageHealthcheck, ImageRunConfig } from '../oci/image-config.ts';
import { copyMap } from '../oci/json.ts';
import { InstructionProblem } from './dockerfile-error.ts';
import { type ExpandOptions, expand } from './expand.ts';
import { exposedPorts } from './exposed-ports.ts';
import type { Command, HealthcheckBody, InstructionBody } from './instruction.ts';
import { spot, type Word } from './words.ts';

export type ConfigDraft = { -readonly [K in keyof ImageRunConfig]: ImageRunConfig[K] };

export interface ConfigState {
  readonly config: ConfigDraft;
  /** A CMD of the same stage: a later ENTRYPOINT keeps it. */
  commandSet: boolean;
}

const defaultShell = ['/bin/sh', '-c'];

const maxPairs = 2000;

/** False: the instruction is about something else than the config. Errors are `InstructionProblem`s. */
export function applyToConfig(instruction: InstructionBody, state: ConfigState, options: ExpandOptions): boolean {
  const { config } = state;
  switch (instruction.kind) {
    case 'cmd':
      setCommand(config, 'Cmd', commandLine(instruction.command, config));
      state.commandSet = true;
      return true;
    case 'entrypoint':
      setCommand(config, 'Entrypoint', commandLine(instruction.command, config));
      // The image's own arguments were meant for its own entry point.
      if (!state.commandSet) delete config.Cmd;
      return true;
    case 'shell':
      config.Shell = instruction.words;
      return true;
    case 'env':
      config.Env = withVariables(config.Env ?? [], expandedPairs(instruction.pairs, options));
      return true;
    case 'label':
      config.Labels = copyMap([...Object.entries(config.Labels ?? {}), ...expandedPairs(instruction.pairs, options)]);
      return true;
    case 'expose':
      config.ExposedPorts = withMembers(config.ExposedPorts, exposedPorts(instruction.ports, options));
      return true;
    case 'volume':
      config.Volumes = withMembers(config.Volumes, volumePaths(instruction.paths, options));
      return true;
    case 'user':
      config.User = expand(instruction.value.text, options);
      return true;
    case 'workdir':
      config.WorkingDir = posix.resolve('/', config.WorkingDir || '/', expand(instruction.value.text, options));
      return true;
    case 'stopsignal':
      config.StopSignal = stopSignal(instruction.value, options);
      return true;
    case 'healthcheck':
      config.Healthcheck = healthcheckConfig(instruction.check);
      return true;
    case 'onbuild':
      config.OnBuild = [...(config.OnBuild ?? []), instruction.trigger];
      return true;
    case 'maintainer':
    case 'from':
    case 'arg':
    case 'run':
    case 'copy':
    case 'add':
      return false;
  }
}

/** An empty list clears it. */
function setCommand(config: ConfigDraft, field: 'Cmd' | 'Entrypoint', words: readonly string[]): void {
  if (words.length === 0) delete config[field];
  else config[field] = words;
}

/** The shell form goes to the SHELL that is set here. */
function commandLine(command: Command, config: ImageRunConfig): readonly string[] {
  if (command.form === 'exec') return command.words;
  return [...(config.Shell ?? defaultShell), command.text];
}

export function expandedPairs(
  pairs: readonly { readonly key: Word; readonly value: Word }[],
  options: ExpandOptions,
): readonly (readonly [string, string])[] {
  if (pairs.length > maxPairs) throw new InstructionProblem(`more than ${maxPairs} pairs in one instruction, the limit`);
  return pairs.map(({ key, value }) => [expand(key.text, options), expand(value.text, options)]);
}

/** A variable keeps its first place. */
function withVariables(before: readonly string[], pairs: readonly (readonly [string, string])[]): readonly string[] {
  const environment = [...before];
  for (const [key, value] of pairs) {
    const start = `${key}=`;
    const at = environment.findIndex((entry) => entry.startsWith(start));
    if (at === -1) environment.push(`${start}${value}`);
    else environment[at] = `${start}${value}`;
  }
  return environment;
}

type Members = Readonly<Record<string, Record<string, never>>>;

function withMembers(before: Members | undefined, names: readonly string[]): Members {
  return copyMap([...Object.entries(before ?? {}), ...names.map((name) => [name, {}] as const)]);
}

function volumePaths(words: readonly Word[], options: ExpandOptions): readonly string[] {
  return words.map((word) => {
    const path = expand(word.text, options);
    if (path === '') throw new InstructionProblem('VOLUME specified can not be an empty string', spot(word));
    return path;
  });
}

function stopSignal(word: Word, options: ExpandOptions): string {
  const text = expand(word.text, options);
  const name = text.toUpperCase().replace(/^SIG/, '');
  const number = Number(text);
  const known = Object.hasOwn(constants.signals, `SIG${name}`) || /^RTM(?:IN(?:\+\d+)?|AX(?:-\d+)?)$/.test(name);
  if (!known && !(Number.isInteger(number) && number >= 1 && number <= 64))
    throw new InstructionProblem(`invalid signal: ${text}`, spot(word));
  return text;
}

/** What was not said, or is 0, is the engine's to choose. */
function healthcheckConfig(check: HealthcheckBody): ImageHealthcheck {
  if (check.kind === 'none') return { Test: ['NONE'] };
  const { command, interval, timeout, startPeriod, startInterval, retries } = check;
  return {
    Test: command.form === 'exec' ? ['CMD', ...command.words] : ['CMD-SHELL', command.text],
    ...(interval ? { Interval: interval } : {}),
    ...(timeout ? { Timeout: timeout } : {}),
    ...(startPeriod ? { StartPeriod: startPeriod } : {}),
    ...(startInterval ? { StartInterval: startInterval } : {}),
    ...(retries ? { Retries: retries } : {}),
  };
}
