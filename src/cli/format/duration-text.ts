/** Times as Docker's command line prints them. */
import { humanDuration } from '../../wire/human-duration.ts';

/** `2 hours ago`. */
export function ago(unixSeconds: number, now = Date.now()): string {
  return `${humanDuration(now - unixSeconds * 1000)} ago`;
}

/** Go's default format of a time, in the local zone: `2026-11-21 09:15:00 +0000 UTC`. */
export function goTime(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  const offset = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offset * 60_000).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19)} ${zoneOffset(offset, '')} ${zoneName(date)}`;
}

/** RFC 3339 with seconds, in the local zone. */
export function rfc3339(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  const offset = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offset * 60_000).toISOString();
  return local.slice(0, 19) + (offset === 0 ? 'Z' : zoneOffset(offset, ':'));
}

export function zoneOffset(minutes: number, separator: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.trunc(Math.abs(minutes) / 60))}${separator}${two(Math.abs(minutes) % 60)}`;
}

function zoneName(date: Date): string {
  if (date.getTimezoneOffset() === 0) return 'UTC';
  const part = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(date).find((each) => each.type === 'timeZoneName');
  return part?.value ?? 'UTC';
}
