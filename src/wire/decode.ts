/**
 * A request body becomes a typed value in three steps: JSON text → `adapt` (what Go's decoder forgives: case of known keys, null, a string where a
 * list may stand) → the compiled schema, which names the field that has the wrong type.
 *
 * Known fields are matched as Go matches them: exactly or with their case folded, the last one wins. Unknown fields are dropped. `null` is absence; inside
 * maps and lists it is the zero value of its type. Maps keep every key, `__proto__` too: they are built with defineProperty, never by assignment.
 * Integers beyond 2^53 are refused, because JavaScript cannot hold them exactly.
 */
import Type, { type Static, type TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { invalid } from '../base/errors.ts';

export const Int64 = Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER });
export const StringList = Type.Array(Type.String());
export const StringMap = Type.Record(Type.String(), Type.String());
/** Docker's StrSlice: a single string stands for a list of one. */
export const Words = Type.Array(Type.String(), { oneStringAllowed: true });
/** A Go map used as a set, `{"80/tcp":{}}`. */
export const KeySet = Type.Record(Type.String(), Type.Object({}));

export type Decode<T> = (body: unknown) => T;

/** The schema is compiled at the first use, so that a boot pays for none. */
export function decoderOf<S extends TSchema>(schema: S): Decode<Static<S>> {
  let validator: Validator | null = null;
  return (body) => {
    validator ??= Compile(schema) as unknown as Validator;
    const value = adapt(schema as Shape, body === null || body === undefined ? {} : body);
    if (!validator.Check(value)) throw invalid(`invalid request body: ${explain(validator, value)}`);
    return value as Static<S>;
  };
}

/** The part of JSON Schema that our schemas use. */
interface Shape {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly patternProperties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
  readonly oneStringAllowed?: boolean;
}

function adapt(shape: Shape, value: unknown): unknown {
  if (shape.oneStringAllowed === true && typeof value === 'string') return [value];
  if (Array.isArray(value)) return shape.items === undefined ? value : adaptList(shape.items, value);
  if (typeof value !== 'object' || value === null) return value;
  const entryShape = shape.patternProperties === undefined ? undefined : Object.values(shape.patternProperties)[0];
  if (entryShape !== undefined) return adaptMap(entryShape, value);
  return shape.properties === undefined ? value : adaptObject(shape.properties, value);
}

function adaptObject(properties: Readonly<Record<string, Shape>>, value: object): object {
  const known = foldedNames(properties);
  const adapted: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const name = Object.hasOwn(properties, key) ? key : known.get(key.toLowerCase());
    if (name === undefined || item === null) continue;
    adapted[name] = adapt(properties[name] as Shape, item);
  }
  return adapted;
}

const foldedNamesOf = new WeakMap<object, ReadonlyMap<string, string>>();

function foldedNames(properties: Readonly<Record<string, Shape>>): ReadonlyMap<string, string> {
  let names = foldedNamesOf.get(properties);
  if (names === undefined) {
    names = new Map(Object.keys(properties).map((name) => [name.toLowerCase(), name]));
    foldedNamesOf.set(properties, names);
  }
  return names;
}

function adaptMap(entry: Shape, value: object): object {
  const adapted = {};
  for (const [key, item] of Object.entries(value)) {
    Object.defineProperty(adapted, key, {
      value: item === null ? zeroValue(entry) : adapt(entry, item),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return adapted;
}

function adaptList(item: Shape, list: readonly unknown[]): unknown[] {
  return list.map((element) => (element === null ? zeroValue(item) : adapt(item, element)));
}

function zeroValue(shape: Shape): unknown {
  switch (shape.type) {
    case 'string':
      return '';
    case 'integer':
    case 'number':
      return 0;
    case 'boolean':
      return false;
    case 'array':
      return [];
    case 'object':
      return {};
    default:
      return null;
  }
}

function explain(validator: Validator, value: unknown): string {
  const [first] = validator.Errors(value);
  if (first === undefined) return 'it does not have the expected shape';
  const path = first.instancePath.split('/').slice(1).map(unescapePointer);
  const found = path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value);
  const field = path.length === 0 ? 'the body' : path.join('.');
  // The value itself is not shown unless it is a number: it may be a variable of the environment.
  if (first.keyword === 'type')
    return `${field} must be ${wantedKind(String((first.params as { type?: unknown }).type))}, not ${kindOf(found)}`;
  if (typeof found === 'number') return `${field} is out of range: ${found} does not fit`;
  return `${field} ${first.message}`;
}

function wantedKind(type: string): string {
  if (type === 'array') return 'a list';
  return type === 'object' || type === 'integer' ? `an ${type}` : `a ${type}`;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return Number.isInteger(value) ? 'a number' : 'a fraction';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}
