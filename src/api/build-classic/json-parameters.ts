/** Parameters of a query that hold JSON. `null` is absence, as clients in Go write an empty map; what is wrong is told with the parameter's name, never with a value, which may be a secret. */
import { type EngineError, invalid } from '../../base/errors.ts';
import type { Exchange } from '../exchange.ts';

export function refuseParameter(name: string, reason: string): EngineError {
  return invalid(`invalid value for "${name}": ${reason}`);
}

/** `words`: Docker's, in front of what is wrong. */
export function jsonMap(exchange: Exchange, name: string, words: string): ReadonlyMap<string, string | null> {
  const value = parse(exchange, name, words);
  if (value === null) return new Map();
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid(`${words}: the parameter "${name}" must be an object of texts`);
  const pairs = Object.entries(value);
  const odd = pairs.find(([, each]) => each !== null && typeof each !== 'string');
  if (odd !== undefined) throw invalid(`${words}: ${JSON.stringify(odd[0])} in the parameter "${name}" must be a text`);
  return new Map(pairs);
}

export function jsonList(exchange: Exchange, name: string, words = `invalid value for "${name}"`): readonly unknown[] {
  const value = parse(exchange, name, words);
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${words}: the parameter "${name}" must be a list`);
  return value;
}

export function jsonTextList(exchange: Exchange, name: string): readonly string[] {
  const list = jsonList(exchange, name);
  if (!list.every((each) => typeof each === 'string')) throw refuseParameter(name, 'a list of texts is needed');
  return list.filter((each) => each !== '');
}

function parse(exchange: Exchange, name: string, words: string): unknown {
  const text = exchange.text(name) ?? '';
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own text quotes what it read.
    throw invalid(`${words}: the parameter "${name}" is not JSON`);
  }
}
