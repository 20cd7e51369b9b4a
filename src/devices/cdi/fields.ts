/**
 * Reads the fields of one object of a description. Every problem is an `invalid` that names the file and the field: `/etc/cdi/x.yaml: devices[0].name: must be …`.
 *
 * As with the library of CDI, `null` is a field that is not there, names of fields are found without regard to case, and a number or `true` is taken where text is
 * expected (`name: 0` in YAML).
 */
import { invalid } from '../../base/errors.ts';
import { nearest } from '../../base/near-miss.ts';
import { type CdiVersion, isOlder } from './cdi-version.ts';

/** Where in which file something is. */
export interface Place {
  readonly file: string;
  /** `devices[2].containerEdits`; '': the whole. */
  readonly path: string;
}

export function problemAt({ file, path }: Place, text: string): Error {
  return invalid(`${file}: ${path === '' ? '' : `${path}: `}${text}`);
}

export function below(place: Place, part: string | number): Place {
  if (typeof part === 'number') return { ...place, path: `${place.path}[${part}]` };
  return { ...place, path: place.path === '' ? part : `${place.path}.${part}` };
}

/** A description with so many items of one kind is a mistake; it bounds what one file costs. */
const maximumItems = 100_000;
const maximumShown = 60;

export class Fields {
  readonly place: Place;
  /** Of the file; null: not known yet. */
  readonly version: CdiVersion | null;
  readonly #values = new Map<string, unknown>();

  /** `known`: all fields that there may be. */
  constructor(value: unknown, place: Place, known: readonly string[], version: CdiVersion | null) {
    this.place = place;
    this.version = version;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw problemAt(place, `must be an object with ${listed(known)}, not ${shown(value)}`);
    for (const [key, item] of Object.entries(value)) this.#take(key, item, known);
  }

  #take(key: string, item: unknown, known: readonly string[]): void {
    const name = known.find((other) => other === key) ?? known.find((other) => other.toLowerCase() === key.toLowerCase());
    if (name === undefined) {
      const near = nearest(key, known);
      const remedy = near === null ? `here may be ${listed(known)}` : `did you mean ${near}?`;
      throw problemAt(below(this.place, shortened(key)), `there is no such field: ${remedy}`);
    }
    if (this.#values.has(name)) throw problemAt(below(this.place, name), `is there twice, as ${key} too: remove one`);
    if (item !== null && item !== undefined) this.#values.set(name, item);
  }

  at(name: string): Place {
    return below(this.place, name);
  }

  problem(name: string, text: string): Error {
    return problemAt(this.at(name), text);
  }

  /** Undefined: not there. */
  raw(name: string): unknown {
    return this.#values.get(name);
  }

  /** For a field that came with a newer version: throws when the file says an older one. */
  needs(name: string, version: CdiVersion): void {
    if (this.version !== null && isOlder(this.version, version))
      throw this.problem(name, `needs cdiVersion ${version} and the file says ${this.version}: raise its cdiVersion`);
  }

  required(name: string, what: string): string {
    const text = this.text(name);
    if (text === undefined || text === '') throw this.problem(name, `is missing: ${what}`);
    return text;
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : textOf(value, this.at(name));
  }

  /** Whole, at least 0. */
  count(name: string, maximum: number): number | undefined {
    const value = this.#values.get(name);
    return value === undefined ? undefined : countOf(value, this.at(name), maximum);
  }

  flag(name: string): boolean | undefined {
    const value = this.#values.get(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.problem(name, `must be true or false, not ${shown(value)}`);
  }

  list<T>(name: string, read: (value: unknown, place: Place) => T): readonly T[] | undefined {
    const value = this.#values.get(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw this.problem(name, `must be a list, not ${shown(value)}`);
    if (value.length > maximumItems) throw this.problem(name, `has ${value.length} items: more than ${maximumItems} are not read`);
    return value.map((item, index) => read(item, below(this.at(name), index)));
  }

  /** Texts by name. */
  map(name: string): Readonly<Record<string, string>> | undefined {
    const value = this.#values.get(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.problem(name, `must be an object of texts, not ${shown(value)}`);
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, textOf(item, below(this.at(name), shortened(key)))]));
  }
}

export function textOf(value: unknown, place: Place): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') throw problemAt(place, `must be text, not ${shown(value)}`);
  if (value.includes('\0')) throw problemAt(place, 'holds a NUL character');
  return value;
}

export function countOf(value: unknown, place: Place, maximum: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maximum) return value;
  throw problemAt(place, `must be a whole number from 0 to ${maximum}, not ${shown(value)}`);
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : shortened(typeof value === 'string' ? JSON.stringify(value) : String(value));
}

export function shortened(text: string): string {
  return text.length > maximumShown ? `${text.slice(0, maximumShown)}…` : text;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
