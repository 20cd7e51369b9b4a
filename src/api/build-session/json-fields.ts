/** Reading a JSON object field by field, strictly: a name that is not known, a type that is wrong and a number that makes no sense are errors that say where. Values are never shown. */
import { invalid } from '../../base/errors.ts';

export class JsonFields {
  readonly #where: string;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #read = new Set<string>();

  /** `where`: `run`, `outputs[1]`; empty: the whole body. */
  constructor(value: unknown, where: string) {
    this.#where = where;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw wrong(where === '' ? 'the body' : where, 'must be an object');
    this.#values = new Map(Object.entries(value));
  }

  /** After the last one. */
  end(): void {
    for (const name of this.#values.keys()) if (!this.#read.has(name)) throw wrong(this.#at(name), 'is not known');
  }

  text(name: string): string {
    const value = this.#take(name);
    if (typeof value !== 'string') throw wrong(this.#at(name), 'must be a string');
    if (value.includes('\0')) throw wrong(this.#at(name), 'holds a NUL byte');
    return value;
  }

  /** Absent and null. */
  textOrNull(name: string): string | null {
    return this.#isAbsent(name) ? null : this.text(name);
  }

  flag(name: string): boolean {
    return this.flagOrNull(name) ?? false;
  }

  flagOrNull(name: string): boolean | null {
    if (this.#isAbsent(name)) return null;
    const value = this.#take(name);
    if (typeof value !== 'boolean') throw wrong(this.#at(name), 'must be true or false');
    return value;
  }

  wholeOrNull(name: string, minimum = 0): number | null {
    if (this.#isAbsent(name)) return null;
    const value = this.#take(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrong(this.#at(name), 'must be a whole number');
    if (value < minimum) throw wrong(this.#at(name), `must be ${minimum} or more`);
    return value;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const text = this.text(name);
    const known = values.find((value) => value === text);
    if (known === undefined) throw wrong(this.#at(name), `must be one of ${values.join(', ')}`);
    return known;
  }

  oneOfOr<T extends string, F>(name: string, values: readonly T[], absent: F): T | F {
    return this.#isAbsent(name) ? absent : this.oneOf(name, values);
  }

  list<T>(name: string, read: (value: unknown, where: string) => T): readonly T[] {
    if (this.#isAbsent(name)) return [];
    const value = this.#take(name);
    if (!Array.isArray(value)) throw wrong(this.#at(name), 'must be a list');
    return value.map((item: unknown, index) => read(item, `${this.#at(name)}[${index}]`));
  }

  texts(name: string): readonly string[] {
    return this.list(name, textOf);
  }

  map<T>(name: string, read: (value: unknown, where: string) => T): ReadonlyMap<string, T> {
    if (this.#isAbsent(name)) return new Map();
    const value = this.#take(name);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(this.#at(name), 'must be an object');
    return new Map(Object.entries(value).map(([key, item]) => [key, read(item, `${this.#at(name)}.${key}`)]));
  }

  textMap(name: string): ReadonlyMap<string, string> {
    return this.map(name, textOf);
  }

  /** The value itself, for who knows what it may be. */
  any(name: string): unknown {
    return this.#take(name);
  }

  object(name: string): JsonFields {
    return new JsonFields(this.#take(name) ?? {}, this.#at(name));
  }

  wrong(name: string, why: string): Error {
    return wrong(this.#at(name), why);
  }

  #take(name: string): unknown {
    this.#read.add(name);
    return this.#values.get(name);
  }

  #isAbsent(name: string): boolean {
    const value = this.#take(name);
    return value === undefined || value === null;
  }

  #at(name: string): string {
    if (name === '') return this.#where;
    return this.#where === '' ? name : `${this.#where}.${name}`;
  }
}

export function textOf(value: unknown, where: string): string {
  if (typeof value !== 'string') throw wrong(where, 'must be a string');
  if (value.includes('\0')) throw wrong(where, 'holds a NUL byte');
  return value;
}

function wrong(where: string, why: string): Error {
  return invalid(`invalid build request: ${where.length > 200 ? `${where.slice(0, 200)}…` : where} ${why}`);
}
