/** `--filter key=value`, repeatable → the daemon's filters. */
import type { FlagValues } from '../flags/flag-values.ts';

export function collectFilters(flags: FlagValues, name = 'filter'): Record<string, string[]> {
  const filters: Record<string, string[]> = Object.create(null);
  for (const { key, value } of flags.parsedList(name, parseFilter)) addFilter(filters, key, value);
  return filters;
}

export function addFilter(filters: Record<string, string[]>, key: string, value: string): void {
  const values = filters[key] ?? [];
  if (!values.includes(value)) values.push(value);
  filters[key] = values;
}

function parseFilter(text: string): { readonly key: string; readonly value: string } {
  const equals = text.indexOf('=');
  if (equals === -1) throw new Error('bad format of filter (expected name=value)');
  return { key: text.slice(0, equals).toLowerCase().trim(), value: text.slice(equals + 1).trim() };
}
