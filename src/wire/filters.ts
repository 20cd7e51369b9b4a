/**
 * The `filters` query parameter: JSON in one of two forms, `{"name":{"c1":true}}` (the docker CLI) or `{"name":["c1"]}` (libraries).
 * The result has no prototype, so that a key named `__proto__` is a key.
 */
import { errorText, invalid } from '../base/errors.ts';

export type Filters = Readonly<Record<string, readonly string[]>>;

export function parseFilters(text: string | null | undefined): Filters {
  const filters: Record<string, readonly string[]> = Object.create(null);
  if (text === null || text === undefined || text.trim() === '') return filters;
  const parsed = parseJson(text);
  if (parsed === null) return filters;
  if (!isRecord(parsed)) throw invalid(`invalid filter: a JSON object is needed, like {"name":["web"]}, not ${text}`);
  for (const [key, value] of Object.entries(parsed)) filters[key] = valuesOf(key, value);
  return filters;
}

/** Refuses what the operation does not know, in Docker's words. */
export function requireKnownFilters(filters: Filters, known: ReadonlySet<string>): void {
  for (const key of Object.keys(filters)) {
    if (!known.has(key)) throw invalid(`invalid filter '${key}'`);
  }
}

/** A filter that is a single boolean, `dangling`; `null` when it was not given. */
export function booleanFilter(filters: Filters, key: string): boolean | null {
  const values = filters[key];
  if (values === undefined || values.length === 0) return null;
  const truths = new Set(values.map((value) => booleanValue(key, value)));
  if (truths.size > 1) throw invalid(`invalid filter '${key}=[${values.join(' ')}]': true and false at the same time`);
  return truths.has(true);
}

function booleanValue(key: string, value: string): boolean {
  const lower = value.toLowerCase();
  if (lower === '1' || lower === 'true') return true;
  if (lower === '0' || lower === 'false') return false;
  throw invalid(`invalid filter '${key}=[${value}]': true or false is needed`);
}

function valuesOf(key: string, value: unknown): readonly string[] {
  if (Array.isArray(value)) {
    const bad = value.find((item) => typeof item !== 'string');
    if (bad !== undefined) throw invalid(`invalid filter '${key}': its values must be strings, not ${JSON.stringify(bad)}`);
    return value;
  }
  if (!isRecord(value)) throw invalid(`invalid filter '${key}': an object or a list of strings is needed, not ${JSON.stringify(value)}`);
  return Object.entries(value)
    .filter(([, on]) => on !== false)
    .map(([name]) => name);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(`invalid filter: it is not JSON: ${errorText(cause)}`, { cause });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
