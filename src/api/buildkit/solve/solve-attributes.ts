/** Attributes as BuildKit's clients write them: texts in maps, read strictly and complained of by their key. */
import { invalid } from '../../../base/errors.ts';

export type Attributes = ReadonlyMap<string, string>;

/** As Go's ParseBool; absent and empty: false. */
export function flagAttribute(attributes: Attributes, key: string): boolean {
  return booleanAttribute(attributes, key) ?? false;
}

/** Null: it says nothing. */
export function booleanAttribute(attributes: Attributes, key: string): boolean | null {
  const text = attributes.get(key) ?? '';
  if (text === '') return null;
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw invalid(`invalid value for ${key}: ${JSON.stringify(text)} is not a boolean`);
}

export function numberAttribute(attributes: Attributes, key: string): number | null {
  const text = attributes.get(key) ?? '';
  if (text === '') return null;
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value))
    throw invalid(`invalid value for ${key}: ${JSON.stringify(text)} is not a whole number`);
  return value;
}

export function listAttribute(attributes: Attributes, key: string): readonly string[] {
  return (attributes.get(key) ?? '').split(',').flatMap((text) => (text.trim() === '' ? [] : [text.trim()]));
}

/** Attributes whose key starts with `prefix`, by the rest of their keys. */
export function withPrefix(attributes: Attributes, prefix: string): ReadonlyMap<string, string> {
  return new Map([...attributes].flatMap(([key, value]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), value] as const] : [])));
}
