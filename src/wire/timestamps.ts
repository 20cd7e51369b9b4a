/** Times as Docker's JSON and query parameters write them. */
import { invalid } from '../base/errors.ts';

export const zeroTime = '0001-01-01T00:00:00Z';

/** RFC 3339 in UTC, trailing zeros of the fraction trimmed, as Go prints it; null is Go's zero time. */
export function formatTime(time: Date | null): string {
  if (time === null) return zeroTime;
  return trimFraction(time.toISOString());
}

/** The same from nanoseconds since the epoch, with up to nine digits. */
export function formatTimeNano(nanoseconds: bigint): string {
  // The fraction is counted forwards before 1970, too.
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (nanoseconds - rest) / 1_000_000_000n;
  return trimFraction(`${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${String(rest).padStart(9, '0')}Z`);
}

export function unixSeconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}

/**
 * `since` and `until`: `1700000000`, `1700000000.000000456`, or RFC 3339 in the forms Docker takes (date, date and time, with or without zone).
 * Nanoseconds since the epoch.
 */
export function parseTimestamp(text: string, parameter: string): bigint {
  const unix = /^(-?)(\d{1,12})(?:\.(\d{1,9})\d*)?$/.exec(text);
  if (unix !== null) {
    const nanoseconds = BigInt(unix[2] ?? '0') * 1_000_000_000n + BigInt((unix[3] ?? '').padEnd(9, '0'));
    return unix[1] === '-' ? -nanoseconds : nanoseconds;
  }
  return parseCalendarTime(text, parameter);
}

function parseCalendarTime(text: string, parameter: string): bigint {
  const match = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?$/.exec(text);
  const milliseconds = match === null ? Number.NaN : Date.parse(`${match[1]}T${match[2] ?? '00:00:00'}${match[4] ?? 'Z'}`);
  if (match === null || Number.isNaN(milliseconds)) {
    throw invalid(`invalid value for "${parameter}": ${JSON.stringify(text)} is neither a Unix time (1700000000.5) nor an RFC 3339 time`);
  }
  return BigInt(milliseconds) * 1_000_000n + BigInt((match[3] ?? '').padEnd(9, '0'));
}

function trimFraction(text: string): string {
  return text.replace(/\.(\d*?)0+Z$/, (_whole, digits: string) => (digits === '' ? 'Z' : `.${digits}Z`));
}
