/** `--change` of import and commit: Dockerfile instructions that alter nothing but the image's config. */
import { constants } from 'node:os';
import { posix } from 'node:path';
import { errorText, invalid } from '../base/errors.ts';
import type { ImageHealthcheck, ImageRunConfig } from '../oci/image-config.ts';
import { copyMap } from '../oci/json.ts';
import { expand, expandWords, parseJsonWords, splitQuotedWords, type Variables } from './change-words.ts';

type Draft = { -readonly [K in keyof ImageRunConfig]: ImageRunConfig[K] };

/** What one instruction sees: the config to alter, the text behind its name, the variables set so far. */
interface Change {
  readonly config: Draft;
  readonly text: string;
  readonly variables: Variables;
  /** CMD was among the changes: a later ENTRYPOINT keeps it. */
  readonly state: { commandSet: boolean };
}

const defaultShell = ['/bin/sh', '-c'];

const instructions: Readonly<Record<string, (change: Change) => void>> = {
  cmd: (change) => {
    change.config.Cmd = commandLine(change);
    change.state.commandSet = true;
  },
  entrypoint: (change) => {
    change.config.Entrypoint = commandLine(change);
    // The image's own arguments were meant for its own entry point.
    if (!change.state.commandSet) delete change.config.Cmd;
  },
  env: setEnvironment,
  expose: setPorts,
  healthcheck: setHealthcheck,
  label: setLabels,
  onbuild: addTrigger,
  stopsignal: (change) => {
    change.config.StopSignal = stopSignal(oneArgument('STOPSIGNAL', change));
  },
  user: (change) => {
    change.config.User = oneArgument('USER', change);
  },
  volume: addVolumes,
  workdir: (change) => {
    change.config.WorkingDir = posix.resolve('/', change.config.WorkingDir ?? '/', oneArgument('WORKDIR', change));
  },
};

/** The config with the changes applied, in order; `invalid` names the instruction that can't be. */
export function applyChanges(config: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  const draft: Draft = { ...config };
  const state = { commandSet: false };
  for (const line of changes.flatMap(instructionLines)) {
    const [, name = '', text = ''] = /^(\S+)\s*([\s\S]*)$/.exec(line) ?? [];
    const key = name.toLowerCase();
    const apply = Object.hasOwn(instructions, key) ? instructions[key] : undefined;
    if (!apply) throw invalid(`${key} is not a valid change command: use one of ${Object.keys(instructions).join(', ').toUpperCase()}`);
    const variables = new Map((draft.Env ?? []).map(splitAssignment));
    try {
      apply({ config: draft, text: text.trimEnd(), variables, state });
    } catch (cause) {
      throw invalid(`cannot apply the change ${JSON.stringify(line)}: ${errorText(cause)}`, { cause });
    }
  }
  return draft;
}

function instructionLines(change: string): readonly string[] {
  const lines = change.replace(/\\[ \t]*\r?\n/g, '').split(/\r?\n/);
  return lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

function commandLine({ config, text }: Change): readonly string[] {
  const words = parseJsonWords(text);
  if (words) return words;
  return text === '' ? [] : [...(config.Shell ?? defaultShell), text];
}

function oneArgument(name: string, { text, variables }: Change): string {
  if (text === '') throw invalid(`${name} requires exactly one argument`);
  return expand(text, variables);
}

/** `A=1 B=2`, or the old `A all the rest`. */
function assignments(name: string, { text, variables }: Change): readonly (readonly [string, string])[] {
  const words = splitQuotedWords(text);
  const [first] = words;
  if (first === undefined) throw invalid(`${name} requires at least one argument`);
  if (!first.includes('=')) {
    const rest = text.slice(first.length).trim();
    if (rest === '') throw invalid(`${name} must have two arguments`);
    return [[expand(first, variables), expand(rest, variables)]];
  }
  return words.map((word) => {
    const at = word.indexOf('=');
    if (at === -1) throw invalid(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    const key = expand(word.slice(0, at), variables);
    if (key === '') throw invalid(`${name} names can not be blank`);
    return [key, expand(word.slice(at + 1), variables)];
  });
}

function setEnvironment(change: Change): void {
  const environment = [...(change.config.Env ?? [])];
  for (const [key, value] of assignments('ENV', change)) {
    const at = environment.findIndex((entry) => splitAssignment(entry)[0] === key);
    if (at === -1) environment.push(`${key}=${value}`);
    else environment[at] = `${key}=${value}`;
  }
  change.config.Env = environment;
}

function setLabels(change: Change): void {
  change.config.Labels = copyMap([...Object.entries(change.config.Labels ?? {}), ...assignments('LABEL', change)]);
}

function setPorts(change: Change): void {
  const ports = change.text.split(/\s+/).flatMap((word) => expandWords(word, change.variables));
  if (change.text === '') throw invalid('EXPOSE requires at least one argument');
  change.config.ExposedPorts = copyMap([...Object.entries(change.config.ExposedPorts ?? {}), ...ports.flatMap(portRange).map(asMember)]);
}

/** `8000-8002/tcp` → each port. Of `8080:80` only the container's side counts. */
function portRange(text: string): readonly string[] {
  const [, written = '', protocol = 'tcp'] = /^(.*?)(?:\/([A-Za-z]+))?$/.exec(text) ?? [];
  const range = written.slice(written.lastIndexOf(':') + 1);
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === undefined || from > to || to > 65535) throw invalid(`invalid containerPort: ${range}`);
  if (!['tcp', 'udp', 'sctp'].includes(protocol.toLowerCase())) throw invalid(`invalid proto: ${protocol}`);
  return Array.from({ length: to - from + 1 }, (_, offset) => `${from + offset}/${protocol.toLowerCase()}`);
}

function addVolumes({ config, text, variables }: Change): void {
  const words =
    parseJsonWords(text)?.map((word) => expand(word, variables)) ?? text.split(/\s+/).flatMap((word) => expandWords(word, variables));
  if (words.length === 0) throw invalid('VOLUME requires at least one argument');
  if (words.includes('')) throw invalid('VOLUME specified can not be an empty string');
  config.Volumes = copyMap([...Object.entries(config.Volumes ?? {}), ...words.map(asMember)]);
}

function asMember(name: string): readonly [string, Record<string, never>] {
  return [name, {}];
}

function addTrigger({ config, text }: Change): void {
  const trigger = /^\S*/.exec(text)?.[0]?.toUpperCase() ?? '';
  if (trigger === '') throw invalid('ONBUILD requires at least one argument');
  if (trigger === 'ONBUILD') throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === 'FROM' || trigger === 'MAINTAINER') throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
  config.OnBuild = [...(config.OnBuild ?? []), text];
}

function stopSignal(text: string): string {
  const name = text.toUpperCase().replace(/^SIG/, '');
  const number = Number(text);
  const known = Object.hasOwn(constants.signals, `SIG${name}`) || /^RTM(?:IN(?:\+\d+)?|AX(?:-\d+)?)$/.test(name);
  if (!known && !(Number.isInteger(number) && number >= 1 && number <= 64)) throw invalid(`invalid signal: ${text}`);
  return text;
}

const healthFlags: Readonly<Record<string, (value: string) => ImageHealthcheck>> = {
  '--interval': (value) => ({ Interval: duration('interval', value) }),
  '--timeout': (value) => ({ Timeout: duration('timeout', value) }),
  '--start-period': (value) => ({ StartPeriod: duration('start-period', value) }),
  '--start-interval': (value) => ({ StartInterval: duration('start-interval', value) }),
  '--retries': (value) => {
    if (!/^\d{1,9}$/.test(value)) throw invalid(`--retries must be at least 0, not ${value}`);
    return { Retries: Number(value) };
  },
};

function setHealthcheck({ config, text }: Change): void {
  const options: ImageHealthcheck[] = [];
  let rest = text;
  for (let flag = nextFlag(rest); flag; flag = nextFlag(rest)) {
    const parse = Object.hasOwn(healthFlags, flag.name) ? healthFlags[flag.name] : undefined;
    if (!parse) throw invalid(`unknown flag: ${flag.name}`);
    options.push(parse(flag.value));
    rest = flag.rest;
  }
  const [, type = '', command = ''] = /^(\S*)\s*([\s\S]*)$/.exec(rest) ?? [];
  if (type.toUpperCase() === 'NONE') {
    if (command) throw invalid('HEALTHCHECK NONE takes no arguments');
    config.Healthcheck = { Test: ['NONE'] };
    return;
  }
  if (type.toUpperCase() !== 'CMD') throw invalid(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  if (command === '') throw invalid('Missing command after HEALTHCHECK CMD');
  const words = parseJsonWords(command);
  config.Healthcheck = Object.assign({ Test: words ? ['CMD', ...words] : ['CMD-SHELL', command] }, ...options);
}

function nextFlag(text: string): { readonly name: string; readonly value: string; readonly rest: string } | null {
  const [, name, value, rest = ''] = /^(--[a-z-]+)(?:=(\S*))?\s*([\s\S]*)$/.exec(text) ?? [];
  if (name === undefined) return null;
  if (value === undefined) throw invalid(`missing a value on flag: ${name}`);
  return { name, value, rest };
}

const unitNanoseconds: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** Go's duration text, to nanoseconds. */
function duration(name: string, text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)];
  const whole = text === '0' || (parts.length > 0 && parts.map(([part]) => part).join('') === text);
  if (!whole) throw invalid(`--${name}: invalid duration ${JSON.stringify(text)}, write for example 30s or 1m30s`);
  const nanoseconds = Math.round(parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (unitNanoseconds[unit] ?? 0), 0));
  if (nanoseconds !== 0 && nanoseconds < 1e6) throw invalid(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
  return nanoseconds;
}

function splitAssignment(entry: string): readonly [string, string] {
  const at = entry.indexOf('=');
  return at === -1 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}
