import type { Filters } from './types.ts';

/** The form that every daemon since 1.22 reads: `{"name":{"web":true}}`. Empty filters are not sent. */
export function encodeFilters(filters: Filters | undefined): string {
  const entries = Object.entries(filters ?? {});
  if (entries.length === 0) return '';
  return JSON.stringify(
    Object.fromEntries(entries.map(([key, values]) => [key, Object.fromEntries(values.map((value) => [value, true]))])),
  );
}
