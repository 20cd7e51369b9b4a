/**
 * Shapes that a JSON value is read by. A shape gives the value, or notes what is wrong with it and where (`access.rules[2].repository: …`) and gives `refused`; a
 * record or a list goes on with its other members, so that a person hears of all mistakes of a file at once.
 */

import { nearest } from '../../base/near-miss.ts';
import { parseGoDuration } from '../../base/parse-go-duration.ts';

export const refused = Symbol('refused');

export interface Place {
  /** `limits.maxBlobSize`; empty for the whole. */
  readonly path: string;
  readonly findings: string[];
}

export type Shape<T> = (value: unknown, place: Place) => T | typeof refused;

/** A member of a record: `fallback` stands for an absent one; without it the member must be there. */
export interface Member<T> {
  readonly shape: Shape<T>;
  readonly fallback?: { readonly value: T };
}

export type Members<T> = { readonly [K in keyof T]: Member<T[K]> };

export const required = <T>(shape: Shape<T>): Member<T> => ({ shape });
export const optional = <T>(shape: Shape<T>, value: NoInfer<T>): Member<T> => ({ shape, fallback: { value } });
export const maybe = <T>(shape: Shape<T>): Member<T | null> => ({ shape, fallback: { value: null } });

export function refuse(place: Place, message: string): typeof refused {
  place.findings.push(place.path === '' ? message : `${place.path}: ${message}`);
  return refused;
}

export const text: Shape<string> = (value, place) => {
  if (typeof value !== 'string') return refuse(place, `must be a string, not ${nameOf(value)}`);
  return value === '' ? refuse(place, 'must not be empty') : value;
};

export const flag: Shape<boolean> = (value, place) =>
  typeof value === 'boolean' ? value : refuse(place, `must be true or false, not ${nameOf(value)}`);

export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): Shape<number> {
  return (value, place) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) return refuse(place, `must be a whole number, not ${nameOf(value)}`);
    return value < min || value > max ? refuse(place, `must be ${rangeText(min, max)}, not ${value}`) : value;
  };
}

export function positiveNumber(max: number): Shape<number> {
  return (value, place) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return refuse(place, `must be a number, not ${nameOf(value)}`);
    return value <= 0 || value > max ? refuse(place, `must be more than 0 and at most ${max}, not ${value}`) : value;
  };
}

export function oneOf<const T extends string>(...allowed: readonly T[]): Shape<T> {
  return (value, place) => {
    const found = allowed.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    const near = typeof value === 'string' ? nearest(value, allowed) : null;
    return refuse(
      place,
      `must be one of ${allowed.join(', ')}, not ${nameOf(value)}${near === null ? '' : `. Did you mean ${JSON.stringify(near)}?`}`,
    );
  };
}

export function listOf<T>(shape: Shape<T>): Shape<readonly T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) return refuse(place, `must be a list, not ${nameOf(value)}`);
    const read = value.map((entry, index) => shape(entry, { ...place, path: `${place.path}[${index}]` }));
    return read.includes(refused) ? refused : (read as readonly T[]);
  };
}

/** One, or a list of them. */
export function oneOrMore<T>(shape: Shape<T>): Shape<readonly T[]> {
  const list = listOf(shape);
  return (value, place) => {
    if (Array.isArray(value)) return list(value, place);
    const read = shape(value, place);
    return read === refused ? refused : [read];
  };
}

export function recordOf<T extends object>(members: Members<T>): Shape<T> {
  const names = Object.keys(members);
  return (value, place) => {
    if (!isPlainObject(value)) return refuse(place, `must be an object, not ${nameOf(value)}`);
    let isWhole = true;
    for (const key of Object.keys(value)) if (!names.includes(key)) isWhole = refuseKey(key, names, place);
    const result: Record<string, unknown> = {};
    for (const name of names) {
      const read = readMember(members[name as keyof T], Object.hasOwn(value, name) ? value[name] : undefined, below(place, name));
      if (read === refused) isWhole = false;
      else result[name] = read;
    }
    return isWhole ? (result as T) : refused;
  };
}

/** An object whose keys a person chooses. */
export function mapOf<T>(shape: Shape<T>): Shape<ReadonlyMap<string, T>> {
  return (value, place) => {
    if (!isPlainObject(value)) return refuse(place, `must be an object, not ${nameOf(value)}`);
    const entries = Object.entries(value).map(([key, entry]) => [key, shape(entry, below(place, key))] as const);
    return entries.some(([, entry]) => entry === refused) ? refused : new Map(entries as readonly (readonly [string, T])[]);
  };
}

/** What `shape` gives, made into something else; an error of `convert` is what is wrong. */
export function converted<A, B>(shape: Shape<A>, convert: (value: A) => B): Shape<B> {
  return (value, place) => {
    const read = shape(value, place);
    if (read === refused) return refused;
    try {
      return convert(read);
    } catch (error) {
      return refuse(place, error instanceof Error ? error.message : String(error));
    }
  };
}

/** `null`, said on purpose. */
export function nullOr<T>(shape: Shape<T>): Shape<T | null> {
  return (value, place) => (value === null ? null : shape(value, place));
}

/** Bytes: a whole number, or `10GB`. Units are powers of 1024, as Docker counts memory; `GiB` says the same. */
export const byteSize: Shape<number> = (value, place) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?$/i.exec(value) : null;
  const bytes = match === null ? 0 : Math.floor(Number(match[1]) * 1024 ** ' kmgt'.indexOf((match[2] || ' ').toLowerCase()));
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  return refuse(place, `must be a size above 0, as "500MB" or "10GB", not ${nameOf(value)}`);
};

/** Milliseconds, of `90s`, `1h30m`, `30d`, `2w`. */
export const duration: Shape<number> = (value, place) => {
  const milliseconds = typeof value === 'string' ? durationMs(value) : null;
  if (milliseconds !== null && milliseconds > 0) return milliseconds;
  return refuse(place, `must be a time above 0, as "30s", "12h" or "30d", not ${nameOf(value)}`);
};

function durationMs(given: string): number | null {
  const days = /^(\d+(?:\.\d+)?)([dw])$/.exec(given);
  if (days !== null) return Number(days[1]) * (days[2] === 'w' ? 7 : 1) * 86_400_000;
  try {
    return parseGoDuration(given) / 1e6;
  } catch {
    return null;
  }
}

function readMember<T>(member: Member<T>, value: unknown, place: Place): T | typeof refused {
  if (value !== undefined) return member.shape(value, place);
  return member.fallback === undefined ? refuse(place, 'is missing') : member.fallback.value;
}

function refuseKey(key: string, names: readonly string[], place: Place): false {
  const near = nearest(key, names);
  refuse(
    below(place, key),
    near === null ? `unknown key. Known here: ${names.join(', ')}` : `unknown key. Did you mean ${JSON.stringify(near)}?`,
  );
  return false;
}

/** A key of no plain word is quoted, so that the place can be found, and controls of a file reach no terminal. */
function below(place: Place, key: string): Place {
  const step = /^[\w$-]+$/.test(key) ? `${place.path === '' ? '' : '.'}${key}` : `[${JSON.stringify(key)}]`;
  return { ...place, path: `${place.path}${step}` };
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function rangeText(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`;
}

function nameOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  const shown = JSON.stringify(value);
  return shown.length > 80 ? `${shown.slice(0, 79)}…` : shown;
}
