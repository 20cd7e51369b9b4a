/**
 * What `--call` asks of a Dockerfile without building it: the build checks, what a target can be given (arguments, secrets), the targets. Texts and JSON are in the shapes that clients of
 * BuildKit know (`frontend.lint`, `frontend.outline`, `frontend.targets`).
 */
import { excerpt } from '../../dockerfile/dockerfile-error.ts';
import type { Instruction, Stage } from '../../dockerfile/instruction.ts';
import type { Dockerfile } from '../../dockerfile/parse-dockerfile.ts';
import type { LineRange } from '../../dockerfile/source-range.ts';
import type { BuildWarning } from '../build-event.ts';
import type { BuildRequest } from '../build-request.ts';
import type { BuildOutcome } from '../builder.ts';
import type { DockerfileSource } from './dockerfile-source.ts';
import { reachableStages } from './reachable-stages.ts';

type Answer = NonNullable<BuildOutcome['answer']>;

export function answerCall(
  call: Exclude<BuildRequest['call'], 'build'>,
  dockerfile: Dockerfile,
  source: DockerfileSource,
  request: Pick<BuildRequest, 'target' | 'buildArguments'>,
  warnings: readonly BuildWarning[],
): Answer {
  switch (call) {
    case 'check':
      return checkAnswer(source, warnings);
    case 'outline':
      return outlineAnswer(dockerfile, source, request);
    case 'targets':
      return targetsAnswer(dockerfile, source);
  }
}

function checkAnswer(source: DockerfileSource, warnings: readonly BuildWarning[]): Answer {
  const texts = warnings.map(({ rule, short, detail, url, place }) => {
    const message = messageOf(rule, short);
    const shown = place === null ? '' : `\n${excerpt(source.text, source.name, place)}`;
    return `\nWARNING: ${rule} - ${url}\n${detail}\n${message}${shown}\n`;
  });
  const count = warnings.length === 1 ? '1 warning has been found' : `${warnings.length} warnings have been found`;
  const head = warnings.length === 0 ? 'Check complete, no warnings found.\n' : `Check complete, ${count}!\n`;
  const json = {
    warnings: warnings.map(({ rule, short, detail, url, place }) => ({
      ruleName: rule,
      description: detail,
      url,
      detail: messageOf(rule, short),
      ...(place === null ? {} : { location: location(place) }),
    })),
    sources: sources(source),
  };
  return { text: head + texts.join(''), json };
}

function messageOf(rule: string, short: string): string {
  return short.replace(`${rule}: `, '').replace(/ \(line \d+\)$/, '');
}

interface OutlineEntry {
  readonly name: string;
  readonly required: boolean;
  readonly location: object;
}

function outlineAnswer(
  dockerfile: Dockerfile,
  source: DockerfileSource,
  { target, buildArguments }: Pick<BuildRequest, 'target' | 'buildArguments'>,
): Answer {
  const stages = reachableStages(dockerfile, target);
  const last = stages.at(-1);
  const instructions = [...dockerfile.globals, ...stages.flatMap((stage) => stage.instructions)];
  const args = argumentsOf(instructions, buildArguments);
  const [secrets, ssh] = [mounted(instructions, 'secret'), mounted(instructions, 'ssh')];
  const name = last?.name ?? '';
  const description = last === undefined ? '' : descriptionOf(last.from, name);
  const head = [...(name === '' ? [] : [`TARGET:      ${name}`]), ...(description === '' ? [] : [`DESCRIPTION: ${description}`])];
  const tables = [
    table(
      ['BUILD ARG', 'VALUE', 'DESCRIPTION'],
      args.map((each) => [each.name, each.value ?? '', each.description ?? '']),
    ),
    table(['SECRET', 'REQUIRED'], secrets.map(requiredRow)),
    table(['SSH', 'REQUIRED'], ssh.map(requiredRow)),
  ];
  const text = [head.join('\n'), ...tables].filter((part) => part !== '').join('\n\n');
  const json = {
    ...(name === '' ? {} : { name }),
    ...(description === '' ? {} : { description }),
    ...(args.length === 0 ? {} : { args }),
    ...(secrets.length === 0 ? {} : { secrets }),
    ...(ssh.length === 0 ? {} : { ssh }),
    sources: [Buffer.from(source.text).toString('base64')],
  };
  return { text: `${text}\n`, json };
}

function requiredRow({ name, required }: OutlineEntry): readonly string[] {
  return [name, required ? 'true' : ''];
}

interface OutlineArgument {
  readonly name: string;
  readonly value?: string;
  readonly description?: string;
  readonly location: object;
}

/** Each once, by its last declaration. */
function argumentsOf(instructions: readonly Instruction[], given: ReadonlyMap<string, string>): readonly OutlineArgument[] {
  const found = new Map<string, OutlineArgument>();
  for (const instruction of instructions) {
    if (instruction.kind !== 'arg') continue;
    for (const { name, value } of instruction.arguments) {
      const before = found.get(name.text);
      const chosen = given.get(name.text) ?? value?.text ?? before?.value;
      const description = descriptionOf(instruction, name.text) || before?.description;
      found.set(name.text, {
        name: name.text,
        ...(description ? { description } : {}),
        ...(chosen === undefined ? {} : { value: chosen }),
        location: location(instruction.place),
      });
    }
  }
  return [...found.values()];
}

/** `# NAME what it is for`, above. */
function descriptionOf({ line }: Pick<Instruction, 'line'>, name: string): string {
  const start = `${name} `.toLowerCase();
  const first = line.comments.findIndex((comment) => comment.trim().toLowerCase().startsWith(start));
  if (first === -1) return '';
  const lines = line.comments.slice(first).map((comment) => comment.trim());
  return lines.join(' ').slice(start.length).trim();
}

function mounted(instructions: readonly Instruction[], type: 'secret' | 'ssh'): readonly OutlineEntry[] {
  const found = new Map<string, OutlineEntry>();
  for (const instruction of instructions) {
    if (instruction.kind !== 'run') continue;
    for (const { text } of instruction.flags.list('mount')) {
      const fields = new Map(text.split(',').map((field) => fieldOf(field)));
      if (fields.get('type') !== type) continue;
      const path = fields.get('target') ?? fields.get('dst') ?? fields.get('destination') ?? '';
      const name = fields.get('id') ?? (type === 'ssh' ? 'default' : (fields.get('source') ?? path.split('/').at(-1) ?? ''));
      const required = found.get(name)?.required === true || /^(true|1|)$/i.test(fields.get('required') ?? 'false');
      found.set(name, { name, required, location: location(instruction.place) });
    }
  }
  return [...found.values()];
}

function fieldOf(field: string): readonly [string, string] {
  const plain = field.replace(/^"(.*)"$/, '$1');
  const equals = plain.indexOf('=');
  return equals === -1 ? [plain.toLowerCase(), ''] : [plain.slice(0, equals).toLowerCase(), plain.slice(equals + 1)];
}

function targetsAnswer({ stages }: Dockerfile, source: DockerfileSource): Answer {
  const targets = stages.map((stage, index) => targetOf(stage, index === stages.length - 1));
  const shown = targets.filter(({ name, isDefault }) => name !== '' || isDefault);
  const rows = shown.map(({ name, isDefault, description }) => [
    isDefault ? (name === '' ? '(default)' : `${name} (default)`) : name,
    description,
  ]);
  const json = {
    targets: targets.map(({ name, isDefault, description, stage }) => ({
      ...(name === '' ? {} : { name }),
      ...(isDefault ? { default: true } : {}),
      ...(description === '' ? {} : { description }),
      base: stage.from.image.text,
      ...(stage.from.platform === null ? {} : { platform: stage.from.platform.text }),
      location: location(stage.from.place),
    })),
    sources: [Buffer.from(source.text).toString('base64')],
  };
  return { text: `${table(['TARGET', 'DESCRIPTION'], rows)}\n`, json };
}

function targetOf(stage: Stage, isDefault: boolean) {
  const name = stage.name ?? '';
  return { stage, name, isDefault, description: name === '' ? '' : descriptionOf(stage.from, name) };
}

function location({ startLine, endLine }: LineRange): object {
  return { ranges: [{ start: { line: startLine }, end: { line: endLine } }] };
}

function sources({ name, text }: DockerfileSource): readonly object[] {
  return [{ filename: name, language: 'Dockerfile', data: Buffer.from(text).toString('base64') }];
}

/** Empty without rows. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)) + 3);
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('');
  return all.map((row) => line(row).trimEnd()).join('\n');
}
