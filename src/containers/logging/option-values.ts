/** Values of `--log-opt`, read as Go's libraries read them and refused with their texts. */
import { invalid } from '../../base/errors.ts';
import type { LogOptions } from './log-driver.ts';

/** `text` says what is wrong in the driver's own words. */
type Refuse = (text: string) => Error;

export function requireKnown(options: LogOptions, known: readonly string[], where: string): void {
  for (const name of Object.keys(options)) if (!known.includes(name)) throw invalid(`unknown log opt '${name}' for ${where}`);
}

/** strconv.ParseBool */
export function parseBoolean(text: string, refuse: Refuse = invalid): boolean {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  throw refuse(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** strconv.Atoi and ParseUint */
export function parseInteger(text: string, refuse: Refuse = invalid, call = 'Atoi'): number {
  const value = Number(text);
  const pattern = call === 'ParseUint' ? /^\d+$/ : /^[+-]?\d+$/;
  if (!pattern.test(text)) throw refuse(`strconv.${call}: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (!Number.isSafeInteger(value)) throw refuse(`strconv.${call}: parsing ${JSON.stringify(text)}: value out of range`);
  return value;
}

/** `10m`, `1.5GB`: in powers of 1000 (`human`) or of 1024 (`memory`). */
export function parseSize(text: string, units: 'human' | 'memory', refuse: Refuse = invalid): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text);
  const power = 'kmgtp'.indexOf((match?.[2] ?? '').toLowerCase() || '-') + 1;
  const bytes = match === null ? Number.NaN : Math.floor(Number(match[1]) * (units === 'human' ? 1000 : 1024) ** power);
  if (!Number.isSafeInteger(bytes)) throw refuse(`invalid size: '${text}'`);
  return bytes;
}

const nanoseconds: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** time.ParseDuration; milliseconds. */
export function parseDurationMs(text: string, refuse: Refuse = invalid): number {
  if (text === '0') return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text) throw refuse(`time: invalid duration ${JSON.stringify(text)}`);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (nanoseconds[unit ?? ''] ?? 0), 0);
}

export interface AddressUrl {
  readonly scheme: string;
  readonly host: string;
  /** '' when none is said. */
  readonly port: string;
  readonly path: string;
}

/** `scheme://host:port` or `scheme:///path`; null for anything else. */
export function parseAddressUrl(text: string): AddressUrl | null {
  const match = /^([a-z+]+):\/\/(\[[0-9a-fA-F:.%]+\]|[^/:]*)(?::([^/]*))?(\/.*)?$/.exec(text);
  if (match === null) return null;
  return { scheme: match[1] ?? '', host: (match[2] ?? '').replace(/^\[|\]$/g, ''), port: match[3] ?? '', path: match[4] ?? '' };
}
