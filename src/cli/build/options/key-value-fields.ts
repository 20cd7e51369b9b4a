/** `key=value,key=value` of `--output`, `--secret`, `--cache-to` and their like: CSV, keys in any case, each once, none that nobody knows. */
import { csvFields } from '../../../base/csv-fields.ts';
import { nearest } from '../../../base/near-miss.ts';

export class KeyValueFields {
  readonly #values: ReadonlyMap<string, string>;
  readonly #taken = new Set<string>();

  /** A field without `=` is its key, with `true`. */
  constructor(text: string) {
    const values = new Map<string, string>();
    for (const field of text === '' ? [] : csvFields(text)) {
      const equals = field.indexOf('=');
      const key = (equals === -1 ? field : field.slice(0, equals)).trim();
      const name = key.startsWith('annotation') ? key : key.toLowerCase();
      if (name === '') throw new Error(`'${field}' must be a key=value pair`);
      if (values.has(name)) throw new Error(`the key '${name}' is given twice`);
      values.set(name, equals === -1 ? 'true' : field.slice(equals + 1));
    }
    this.#values = values;
  }

  /** The value of the first of these keys that is there. */
  text(...keys: readonly string[]): string | null {
    for (const key of keys) this.#taken.add(key);
    const key = keys.find((name) => this.#values.has(name));
    return key === undefined ? null : (this.#values.get(key) ?? null);
  }

  bool(key: string): boolean | null {
    const text = this.text(key);
    if (text === null) return null;
    const lower = text.toLowerCase();
    if (['1', 't', 'true', 'yes'].includes(lower)) return true;
    if (['0', 'f', 'false', 'no'].includes(lower)) return false;
    throw new Error(`${key} is true or false, not '${text}'`);
  }

  choice<T extends string>(key: string, choices: readonly T[]): T | null {
    const text = this.text(key);
    if (text === null) return null;
    const found = choices.find((choice) => choice === text.toLowerCase());
    if (found === undefined) throw new Error(`${key} is one of ${choices.join(', ')}, not '${text}'`);
    return found;
  }

  /** Those whose key begins with `prefix`. */
  startingWith(prefix: string): ReadonlyMap<string, string> {
    const found = new Map([...this.#values].filter(([key]) => key.startsWith(prefix)));
    for (const key of found.keys()) this.#taken.add(key);
    return found;
  }

  /** To be called last: what nobody asked for is a mistake. */
  finish(what: string): void {
    const unknown = [...this.#values.keys()].find((key) => !this.#taken.has(key));
    if (unknown === undefined) return;
    const near = nearest(unknown, this.#taken);
    throw new Error(
      `${what} has no key '${unknown}'${near === null ? `; it has ${[...this.#taken].join(', ')}` : `. Did you mean '${near}'?`}`,
    );
  }
}
