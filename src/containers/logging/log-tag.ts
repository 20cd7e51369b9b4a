/** `--log-opt tag`: the part of Go's templates that tags are made of: fields, `index`, and functions of text, piped or not. */
import { badLogOption, type LogSubject } from './log-driver.ts';

export const defaultTag = '{{.ID}}';

export function renderTag(template: string, subject: LogSubject): string {
  let text = '';
  let rest = template;
  for (let open = rest.indexOf('{{'); open >= 0; open = rest.indexOf('{{')) {
    const close = rest.indexOf('}}', open);
    if (close < 0) throw badLogOption('template: log-tag:1: unclosed action');
    text += rest.slice(0, open) + evaluate(rest.slice(open + 2, close).trim(), subject);
    rest = rest.slice(close + 2);
  }
  return text + rest;
}

export function checkTag(template: string | undefined): void {
  if (template !== undefined) renderTag(template, example);
}

function fields(subject: LogSubject): Readonly<Record<string, string>> {
  const imageId = subject.imageId.replace(/^sha256:/, '').slice(0, 12);
  return {
    ID: subject.id.slice(0, 12),
    FullID: subject.id,
    ContainerID: subject.id,
    Name: subject.name,
    ContainerName: `/${subject.name}`,
    ImageID: imageId,
    ImageFullID: subject.imageId,
    ContainerImageID: subject.imageId,
    ImageName: subject.imageName,
    ContainerImageName: subject.imageName,
    Command: subject.command,
    // What Docker's own calls itself: rules of syslog daemons are written for it.
    DaemonName: 'docker',
    Hostname: subject.hostname,
  };
}

/** `.Name`, `lower .Name`, `.Name | upper`, `index .ContainerLabels "key"`, `truncate .FullID 5` */
function evaluate(action: string, subject: LogSubject): string {
  let piped: string | null = null;
  for (const stage of action.split('|')) {
    const words: string[] = stage.match(/"(?:[^"\\]|\\.)*"|[^\s"]+/g) ?? [];
    const [first = '', ...rest] = words;
    const values: string[] = first.startsWith('.') ? words : rest;
    const given: string[] = [
      ...(first === 'index' ? rest.slice(1) : values).map((word) => value(word, subject)),
      ...(piped === null ? [] : [piped]),
    ];
    piped = first.startsWith('.') ? (given[0] ?? '') : apply(first, given, rest[0] ?? '', subject);
  }
  return piped ?? '';
}

function apply(name: string, values: readonly string[], container: string, subject: LogSubject): string {
  const [text = '', second = ''] = values;
  switch (name) {
    case 'index':
      return container === '.ContainerLabels' ? (subject.labels[text] ?? '') : '';
    case 'lower':
      return text.toLowerCase();
    case 'upper':
      return text.toUpperCase();
    case 'title':
      return text.replace(/(^|\s)\S/g, (letter) => letter.toUpperCase());
    case 'truncate':
      return text.slice(0, Number(second) || 0);
    default:
      throw badLogOption(`template: log-tag:1: function ${JSON.stringify(name)} not defined`);
  }
}

function value(word: string, subject: LogSubject): string {
  if (word.startsWith('"')) return JSON.parse(word) as string;
  if (!word.startsWith('.')) return word;
  const found = fields(subject)[word.slice(1)];
  if (found !== undefined) return found;
  throw badLogOption(`template: log-tag:1:2: executing "log-tag" at <${word}>: can't evaluate field ${word.slice(1)} in type *logger.Info`);
}

const example: LogSubject = {
  id: '0'.repeat(64),
  name: 'name',
  imageId: `sha256:${'0'.repeat(64)}`,
  imageName: 'image',
  command: '',
  createdAt: new Date(0),
  labels: {},
  env: [],
  hostname: '',
};
