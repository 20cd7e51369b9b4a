/** The filters of `network ls` and `network prune`. Same key: any of its values; different keys: all; labels: all. */
import { invalid } from '../base/errors.ts';
import { parseUntil } from '../base/until.ts';
import type { NetworkRecord } from './network-record.ts';
import type { NetworkFilters } from './networks.ts';

export interface FilteredNetwork {
  readonly record: NetworkRecord;
  /** A container, running or not, is to be on it. */
  readonly isUsed: boolean;
}

type Matcher = (network: FilteredNetwork) => boolean;

const listMatchers: Readonly<Record<string, (values: readonly string[]) => Matcher>> = {
  dangling: byDangling,
  driver: (values) => anyOf(values, (value, { record }) => record.driver === value),
  id: (values) => anyOf(values, (value, { record }) => matches(value, record.id)),
  label: (values) => (network) => values.every((value) => hasLabel(value, network)),
  name: (values) => anyOf(values, (value, { record }) => matches(value, record.name)),
  scope: (values) => anyOf(values, (value) => value === 'local'),
  type: byType,
};

const pruneMatchers: Readonly<Record<string, (values: readonly string[]) => Matcher>> = {
  label: (values) => (network) => values.every((value) => hasLabel(value, network)),
  'label!': (values) => (network) => !values.some((value) => hasLabel(value, network)),
  until(values) {
    const times = values.map((value) => parseUntil(value, Date.now()));
    return ({ record }) => times.every((time) => record.createdAt < time);
  },
};

export function listMatcher(filters: NetworkFilters): Matcher {
  return matcherOf(filters, listMatchers);
}

export function pruneMatcher(filters: NetworkFilters): Matcher {
  return matcherOf(filters, pruneMatchers);
}

function matcherOf(filters: NetworkFilters, known: typeof listMatchers): Matcher {
  const matchers = Object.entries(filters).map(([key, values]): Matcher => {
    const make = Object.hasOwn(known, key) ? known[key] : undefined;
    if (make === undefined) throw invalid(`invalid filter '${key}'`);
    return values.length === 0 ? () => true : make(values);
  });
  return (network) => matchers.every((match) => match(network));
}

function anyOf(values: readonly string[], match: (value: string, network: FilteredNetwork) => boolean): Matcher {
  return (network) => values.some((value) => match(value, network));
}

/** Part of it, or a regular expression: Compose asks for `^name$`. */
function matches(value: string, text: string): boolean {
  if (text.includes(value)) return true;
  try {
    return new RegExp(value).test(text);
  } catch {
    return false;
  }
}

function hasLabel(value: string, { record }: FilteredNetwork): boolean {
  const equals = value.indexOf('=');
  const key = equals < 0 ? value : value.slice(0, equals);
  return Object.hasOwn(record.labels, key) && (equals < 0 || record.labels[key] === value.slice(equals + 1));
}

function byDangling(values: readonly string[]): Matcher {
  const wanted = new Set(
    values.map((value) => {
      if (['true', '1'].includes(value.toLowerCase())) return true;
      if (['false', '0'].includes(value.toLowerCase())) return false;
      throw invalid(`invalid filter 'dangling=${value}': true or false is needed`);
    }),
  );
  if (wanted.size > 1) throw invalid(`invalid filter 'dangling=[${values.join(' ')}]': true and false at the same time`);
  return ({ record, isUsed }) => wanted.has(!isUsed && !record.predefined);
}

function byType(values: readonly string[]): Matcher {
  for (const value of values) {
    if (value !== 'builtin' && value !== 'custom') throw invalid(`invalid filter: 'type'='${value}': builtin or custom is needed`);
  }
  return ({ record }) => values.includes(record.predefined ? 'builtin' : 'custom');
}
