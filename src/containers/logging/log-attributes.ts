/** `labels`, `labels-regex`, `env`, `env-regex`: what of a container goes with each of its lines. */
import { errorText } from '../../base/errors.ts';
import { badLogOption, type LogOptions, type LogSubject } from './log-driver.ts';
import { renderTag } from './log-tag.ts';

export const attributeOptions: readonly string[] = ['labels', 'labels-regex', 'env', 'env-regex', 'tag'];

export function checkAttributeOptions(options: LogOptions): void {
  for (const name of ['labels-regex', 'env-regex']) pattern(options[name]);
}

export function extraAttributes(options: LogOptions, { labels, env }: Pick<LogSubject, 'labels' | 'env'>): Record<string, string> {
  const chosenLabels = chosen(Object.entries(labels), options.labels, pattern(options['labels-regex']));
  const variables = env.map((entry): [string, string] => {
    const equals = entry.indexOf('=');
    return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
  });
  return Object.fromEntries([...chosenLabels, ...chosen(variables, options.env, pattern(options['env-regex']))]);
}

/** What a line of json-file carries: the tag too, when it is asked for. */
export function lineAttributes(options: LogOptions, subject: LogSubject): Record<string, string> {
  const extra = extraAttributes(options, subject);
  return (options.tag ?? '') === '' ? extra : { ...extra, tag: renderTag(options.tag ?? '', subject) };
}

function chosen(entries: readonly [string, string][], names: string | undefined, matching: RegExp | null): [string, string][] {
  const listed = new Set((names ?? '').split(',').filter((name) => name !== ''));
  return entries.filter(([name]) => listed.has(name) || matching?.test(name) === true);
}

function pattern(text: string | undefined): RegExp | null {
  if (text === undefined || text === '') return null;
  try {
    return new RegExp(text);
  } catch (error) {
    throw badLogOption(`error parsing regexp: ${errorText(error)}`);
  }
}
