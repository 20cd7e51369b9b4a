/** `--since` and `--until`: `10m` (ago), Unix seconds, RFC 3339 or the shorter forms of it, as Docker reads them; → Unix seconds with fraction, as text. */

import { parseGoDuration } from '../../base/parse-go-duration.ts';
import { CliError } from '../cli-error.ts';

export function parseMoment(text: string, now = Date.now()): string {
  if (text === '') return '';
  const relative = relativeMoment(text, now);
  if (relative !== null) return relative;
  if (/^-?\d+(\.\d{1,9})?$/.test(text)) return text;
  const absolute = /^(\d{4}-\d\d-\d\d)(?:T(\d\d(?::\d\d(?::\d\d(?:\.\d{1,9})?)?)?))?(Z|[-+]\d\d:\d\d)?$/.exec(text);
  if (absolute === null) throw new CliError(`failed to parse value as time or duration: "${text}"`);
  return absoluteMoment(absolute[1] ?? '', absolute[2] ?? '00', absolute[3] ?? '', text);
}

function relativeMoment(text: string, now: number): string | null {
  try {
    const nanoseconds = parseGoDuration(text);
    const milliseconds = now - nanoseconds / 1e6;
    return `${Math.floor(milliseconds / 1000)}.${String(Math.round((milliseconds % 1000) * 1e6)).padStart(9, '0')}`;
  } catch {
    return null;
  }
}

/** Without a zone the time is local, as with Docker. */
function absoluteMoment(day: string, time: string, zone: string, text: string): string {
  const [clock = '', fraction = ''] = time.split('.');
  const full = `${clock}:00:00`.slice(0, 8);
  const milliseconds = Date.parse(`${day}T${full}${zone}`);
  if (Number.isNaN(milliseconds)) throw new CliError(`failed to parse value as time or duration: "${text}": there is no such day or time`);
  return `${milliseconds / 1000}.${fraction.padEnd(9, '0')}`;
}
