/** Functions of templates: Go's built-in ones, and those that Docker adds (json, split, join, title, lower, upper, pad, truncate). */
import type { FunctionTable } from './evaluate.ts';
import { formatValue, GoMap, isTruthy, TypedNil, toJson, typeName, type Value } from './go-value.ts';
import { goPrintf } from './printf.ts';

export const templateFunctions: FunctionTable = {
  // `and` and `or` are evaluated lazily in evaluate.ts; these entries only make the names known.
  and: (...args) => args.find((arg) => !isTruthy(arg)) ?? args.at(-1),
  or: (...args) => args.find(isTruthy) ?? args.at(-1),
  not: (...args) => !isTruthy(only(args)),
  eq: (...args) => equalsAny(args),
  ne: (...args) => !equal(...two(args)),
  lt: (...args) => compare(...two(args)) < 0,
  le: (...args) => compare(...two(args)) <= 0,
  gt: (...args) => compare(...two(args)) > 0,
  ge: (...args) => compare(...two(args)) >= 0,
  index: (base, ...keys) => keys.reduce<Value>(indexOne, base),
  slice: (base, ...bounds) => sliceOf(base, bounds),
  len: (...args) => lengthOf(only(args)),
  print: (...args) => printSpaced(args),
  printf: (format, ...args) => goPrintf(text(format), args),
  println: (...args) => `${args.map(formatValue).join(' ')}\n`,
  html: (...args) =>
    args
      .map(formatValue)
      .join(' ')
      .replace(/[&<>"']/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;' })[c] ?? '&#39;'),
  js: (...args) => escapeScript(args.map(formatValue).join(' ')),
  urlquery: (...args) => encodeURIComponent(args.map(formatValue).join(' ')).replaceAll('%20', '+'),
  json: (...args) => toJson(only(args)),
  split: (...args) => split(args),
  join: (...args) => join(args),
  title: (...args) =>
    text(only(args)).replace(/(^|[^\p{L}\p{N}_'])(\p{L})/gu, (_, before: string, letter: string) => before + letter.toUpperCase()),
  lower: (...args) => text(only(args)).toLowerCase(),
  upper: (...args) => text(only(args)).toUpperCase(),
  pad: (source, before, after) => (text(source) === '' ? '' : ' '.repeat(count(before)) + text(source) + ' '.repeat(count(after))),
  truncate: (source, length) => (text(source).length < count(length) ? text(source) : [...text(source)].slice(0, count(length)).join('')),
};

export const functionNames: ReadonlySet<string> = new Set(Object.keys(templateFunctions));

function only(args: readonly Value[]): Value {
  if (args.length !== 1) throw new Error(`wrong number of args: want 1 got ${args.length}`);
  return args[0];
}

function two(args: readonly Value[]): [Value, Value] {
  if (args.length !== 2)
    throw new Error(args.length < 2 ? 'missing argument for comparison' : `wrong number of args: want 2 got ${args.length}`);
  return [args[0], args[1]];
}

function text(value: Value): string {
  if (typeof value !== 'string') throw new Error(`wrong type for value; expected string; got ${typeName(value)}`);
  return value;
}

function count(value: Value): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 1_000_000)
    throw new Error(`wrong value ${formatValue(value)}: a number of characters is needed`);
  return value;
}

function isNil(value: Value): boolean {
  return value === undefined || value === null || value instanceof TypedNil;
}

function equalsAny(args: readonly Value[]): boolean {
  const [first, ...others] = args;
  if (others.length === 0) throw new Error('missing argument for comparison');
  return others.some((other) => equal(first, other));
}

function equal(a: Value, b: Value): boolean {
  if (isNil(a) || isNil(b)) return isNil(a) && isNil(b);
  if (typeof a === 'object' || typeof b === 'object') throw new Error('non-comparable type for comparison');
  if (typeof a !== typeof b) throw new Error('incompatible types for comparison');
  return a === b;
}

function compare(a: Value, b: Value): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  throw new Error(typeof a === typeof b ? 'invalid type for comparison' : 'incompatible types for comparison');
}

function indexOne(base: Value, key: Value): Value {
  if (base === undefined || base === null || (base instanceof TypedNil && base.kind !== 'map')) throw new Error('index of untyped nil');
  if (base instanceof TypedNil) return '';
  if (base instanceof GoMap) {
    const name = text(key);
    return base.entries.has(name) ? base.entries.get(name) : base.zero;
  }
  if (typeof base === 'string' || Array.isArray(base)) {
    if (typeof key !== 'number' || !Number.isInteger(key)) throw new Error(`cannot index slice/array with type ${typeName(key)}`);
    const length = typeof base === 'string' ? Buffer.byteLength(base) : base.length;
    if (key < 0 || key >= length) throw new Error(`index out of range: ${key}`);
    return typeof base === 'string' ? Buffer.from(base)[key] : (base[key] as Value);
  }
  throw new Error(`can't index item of type ${typeName(base)}`);
}

function sliceOf(base: Value, bounds: readonly Value[]): Value {
  if (typeof base !== 'string' && !Array.isArray(base)) throw new Error(`can't slice item of type ${typeName(base)}`);
  const bytes = typeof base === 'string' ? Buffer.from(base) : null;
  const length = bytes?.length ?? base.length;
  const [from = 0, to = length] = bounds;
  for (const bound of [from, to]) {
    if (typeof bound !== 'number' || !Number.isInteger(bound) || bound < 0 || bound > length)
      throw new Error(`index out of range: ${formatValue(bound)}`);
  }
  if (Number(from) > Number(to)) throw new Error(`invalid slice index: ${from} > ${to}`);
  return bytes === null ? (base.slice(Number(from), Number(to)) as Value) : bytes.toString('utf8', Number(from), Number(to));
}

function lengthOf(value: Value): number {
  if (value instanceof TypedNil && value.kind !== 'pointer') return 0;
  if (value instanceof GoMap) return value.entries.size;
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  throw new Error(isNil(value) ? 'len of nil pointer' : `len of type ${typeName(value)}`);
}

/** Go's Sprint: a space only between operands that are both no strings. */
function printSpaced(args: readonly Value[]): string {
  return args
    .map((arg, at) => (at > 0 && typeof arg !== 'string' && typeof args[at - 1] !== 'string' ? ' ' : '') + formatValue(arg))
    .join('');
}

function split(args: readonly Value[]): Value {
  const [source, separator] = two(args);
  return text(separator) === '' ? [...text(source)] : text(source).split(text(separator));
}

function join(args: readonly Value[]): Value {
  const [items, separator] = two(args);
  if (items instanceof TypedNil && items.kind === 'slice') return '';
  if (!Array.isArray(items)) throw new Error(`wrong type for value; expected []string; got ${typeName(items)}`);
  return items.map((item: Value) => text(item)).join(text(separator));
}

function escapeScript(source: string): string {
  return source.replace(/[\\'"<>&=\0-\x1f]/g, (character) => {
    if (character === '\\' || character === "'" || character === '"') return `\\${character}`;
    return `\\u${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
  });
}
