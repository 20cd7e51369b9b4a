/**
 * The values that templates work on: what Go's text/template would see, in JavaScript.
 *
 * undefined: no value (a missing map key) · null: an untyped nil · TypedNil: a nil slice, map or pointer, which print differently
 * GoMap: a map, missing keys are no error · Struct: fixed fields and methods, a missing one is an error
 */

import { goDuration } from '../../base/go-duration.ts';

export type Method = (...args: Value[]) => Value;
export type Value = undefined | null | boolean | number | bigint | string | readonly Value[] | GoMap | Struct | TypedNil | GoDuration;

/** A number of nanoseconds that is shown as `1m30s`. */
export class GoDuration {
  readonly nanoseconds: number;
  constructor(nanoseconds: number) {
    this.nanoseconds = nanoseconds;
  }
}

export class TypedNil {
  readonly kind: 'slice' | 'map' | 'pointer';
  constructor(kind: 'slice' | 'map' | 'pointer') {
    this.kind = kind;
  }
}

export class GoMap {
  readonly entries: ReadonlyMap<string, Value>;
  /** What `index` gives for a missing key: `""` in a map of strings, no value in a map of anything. */
  readonly zero: Value;
  constructor(entries: ReadonlyMap<string, Value>, zero: Value = undefined) {
    this.entries = entries;
    this.zero = zero;
  }
  /** Go templates range over maps, and print them, in key order. */
  sortedKeys(): string[] {
    return [...this.entries.keys()].sort(compareBytes);
  }
}

export interface StructOptions {
  /** JSON in the order of names and with `<>&` escaped, as Docker writes the rows of its lists. */
  readonly sorted?: boolean;
  /** Fields that a template may name but that are not written as JSON: older names, and absent optional values. */
  readonly unlisted?: Readonly<Record<string, Value>>;
}

export class Struct {
  readonly typeName: string;
  readonly #fields: Readonly<Record<string, Value | Method>>;
  readonly #options: StructOptions;
  constructor(typeName: string, fields: Readonly<Record<string, Value | Method>>, options: StructOptions = {}) {
    this.typeName = typeName;
    this.#fields = fields;
    this.#options = options;
  }
  /** Undefined when there is no such field; a field without value is null or a TypedNil. */
  field(name: string): Value | Method {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : this.#options.unlisted?.[name];
  }
  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name) || (this.#options.unlisted !== undefined && Object.hasOwn(this.#options.unlisted, name));
  }
  get isRow(): boolean {
    return this.#options.sorted === true;
  }
  /** The fields that `{{json .}}` writes. */
  names(): string[] {
    const names = Object.keys(this.#fields);
    return this.#options.sorted === true ? names.sort(compareBytes) : names;
  }
}

/** Go compares strings by bytes; UTF-16 order differs only for characters beyond the basic plane. */
function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function isTruthy(value: Value): boolean {
  if (value === undefined || value === null || value instanceof TypedNil) return false;
  if (value instanceof GoDuration) return value.nanoseconds !== 0;
  if (value instanceof GoMap) return value.entries.size > 0;
  if (value instanceof Struct) return true;
  if (typeof value === 'object') return value.length > 0;
  return Boolean(value);
}

export function typeName(value: Value): string {
  if (value === undefined || value === null) return 'nil';
  if (value instanceof TypedNil) return value.kind;
  if (value instanceof GoDuration) return 'time.Duration';
  if (value instanceof Struct) return value.typeName;
  if (value instanceof GoMap) return 'map';
  if (typeof value === 'object') return 'slice';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float64';
  if (typeof value === 'bigint') return 'int64';
  return 'string';
}

/** Go's `%v`. */
export function formatValue(value: Value): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (value instanceof GoDuration) return goDuration(value.nanoseconds / 1e6);
  if (value instanceof TypedNil) return { slice: '[]', map: 'map[]', pointer: '<nil>' }[value.kind];
  if (value instanceof GoMap)
    return `map[${value
      .sortedKeys()
      .map((key) => `${key}:${formatInner(value.entries.get(key))}`)
      .join(' ')}]`;
  if (value instanceof Struct)
    return `{${fieldsOf(value)
      .map(([, field]) => formatInner(field))
      .join(' ')}}`;
  if (typeof value === 'object') return `[${value.map(formatInner).join(' ')}]`;
  return typeof value === 'number' ? formatNumber(value) : String(value);
}

function formatInner(value: Value): string {
  return value === undefined ? '<nil>' : formatValue(value);
}

function formatNumber(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? String(value) : String(value).replace(/e([+-])(\d)$/, 'e$10$2');
}

function fieldsOf(value: Struct): [string, Value][] {
  const fields: [string, Value][] = [];
  for (const name of value.names()) {
    const field = value.field(name);
    if (typeof field !== 'function') fields.push([name, field]);
    else if (field.length === 0) fields.push([name, field()]);
  }
  return fields;
}

/** Go's encoding/json without HTML escapes, as Docker's `json` function uses it. Built as text: an object would put keys that look like numbers first. */
export function toJson(value: Value): string {
  if (value === undefined || value === null || value instanceof TypedNil) return 'null';
  if (value instanceof GoDuration) return String(value.nanoseconds);
  if (value instanceof GoMap) return jsonObject(value.sortedKeys().map((key) => [key, value.entries.get(key)]));
  if (value instanceof Struct) return value.isRow ? escapeHtml(jsonObject(fieldsOf(value))) : jsonObject(fieldsOf(value));
  if (typeof value === 'object') return `[${value.map(toJson).join(',')}]`;
  if (typeof value === 'string') return JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
  return String(value);
}

function escapeHtml(json: string): string {
  return json.replace(/[<>&]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`);
}

function jsonObject(entries: readonly (readonly [string, Value])[]): string {
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${toJson(value)}`).join(',')}}`;
}
