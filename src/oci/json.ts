/**
 * JSON documents from outside (manifests, indexes, configs), read so that Go and JavaScript can't disagree on what they say.
 *
 * Go folds the case of keys and takes the last of several; JavaScript does neither. So a document in which a key occurs twice, or in which a
 * key differs from a known field only by case, is refused (SECURITY.md row 24). Keys of free maps (labels, annotations) are data and may differ
 * by case. `__proto__` stays an own key: `JSON.parse` defines properties, and `copyMap` does too.
 */
import { invalid } from '../base/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Deeper than any real document, shallow enough for every recursive reader. */
const depthLimit = 64;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Throws `invalid` naming `what` unless the bytes are one JSON object that means the same to every reader. */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonObject {
  const value = parseJson(bytes, what);
  if (!isObject(value)) throw invalid(`${what} is not a JSON object`);
  return value;
}

export function parseJson(bytes: Uint8Array, what: string): unknown {
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(`${what} is not valid JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  refuseAmbiguousKeys(text, what);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Refuses keys that Go would read as one of `known` and JavaScript would not. */
export function refuseCaseVariants(object: JsonObject, known: readonly string[], what: string): void {
  const folded = new Map(known.map((name) => [foldCase(name), name]));
  for (const key of Object.keys(object)) {
    const name = folded.get(foldCase(key));
    if (name !== undefined && name !== key)
      throw invalid(`${what} has the key ${JSON.stringify(key)}, which differs from ${JSON.stringify(name)} only by case`);
  }
}

/** A string map without prototype: a label named `__proto__` is a label. */
export function copyMap<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  const copy = Object.create(null) as Record<string, T>;
  for (const [key, value] of entries) copy[key] = value;
  return copy;
}

function foldCase(key: string): string {
  // Upper case first: Go folds the long s (U+017F) and the Kelvin sign (U+212A) to ASCII.
  return key.toUpperCase().toLowerCase();
}

/** Walks valid JSON text once; strings are the only tokens that need care. */
function refuseAmbiguousKeys(text: string, what: string): void {
  const keysOf: (Set<string> | null)[] = [];
  let keyComes = false;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
        keysOf.push(new Set());
        keyComes = true;
        break;
      case '[':
        keysOf.push(null);
        keyComes = false;
        break;
      case '}':
      case ']':
        keysOf.pop();
        keyComes = false;
        break;
      case ',':
        keyComes = keysOf.at(-1) !== null;
        break;
      case '"': {
        const end = endOfString(text, at);
        const keys = keysOf.at(-1);
        if (keyComes && keys) addKey(keys, JSON.parse(text.slice(at, end)), what);
        keyComes = false;
        at = end - 1;
        break;
      }
    }
    if (keysOf.length > depthLimit) throw invalid(`${what} is nested more than ${depthLimit} levels deep`);
  }
}

function addKey(keys: Set<string>, key: string, what: string): void {
  if (keys.has(key)) throw invalid(`${what} has the key ${JSON.stringify(key)} twice in one object`);
  keys.add(key);
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
