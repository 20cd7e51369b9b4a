/** The flags that were given, by name. Asking for a flag that the command does not define is a defect and throws. */

import { UsageError } from '../cli-error.ts';
import { goQuote } from '../format/go-quote.ts';
import { type FlagSpec, type FlagSpecs, flagTitle } from './flag-spec.ts';
import { parseGoInteger } from './go-integer.ts';

export class FlagValues {
  readonly #specs: ReadonlyMap<string, FlagSpec>;
  readonly #given = new Map<string, string[]>();

  constructor(specs: FlagSpecs) {
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]));
  }

  /** @internal For the parser. */
  add(spec: FlagSpec, value: string): void {
    const values = this.#given.get(spec.name);
    if (values === undefined) this.#given.set(spec.name, [value]);
    else values.push(value);
  }

  /** Whether the command line named it, whatever the value. */
  has(name: string): boolean {
    this.#spec(name);
    return this.#given.has(name);
  }

  /** The last value given, or the default. */
  string(name: string): string {
    return this.#given.get(name)?.at(-1) ?? this.#spec(name).defaultValue;
  }

  /** All values in the order given. */
  list(name: string): readonly string[] {
    this.#spec(name);
    return this.#given.get(name) ?? [];
  }

  bool(name: string): boolean {
    return parseBool(this.string(name)) === true;
  }

  int(name: string): number {
    const text = this.string(name);
    return Number(parseGoInteger(text) ?? 0n);
  }

  /** The last value put through `parse`; a complaint names the flag. */
  parsed<T>(name: string, parse: (text: string) => T): T | undefined {
    const text = this.#given.get(name)?.at(-1);
    return text === undefined ? undefined : this.#convert(name, text, parse);
  }

  parsedList<T>(name: string, parse: (text: string) => T): readonly T[] {
    return this.list(name).map((text) => this.#convert(name, text, parse));
  }

  #convert<T>(name: string, text: string, parse: (text: string) => T): T {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw invalidValue(this.#spec(name), text, error instanceof Error ? error.message : String(error));
    }
  }

  #spec(name: string): FlagSpec {
    const spec = this.#specs.get(name);
    if (spec === undefined) throw new Error(`the command defines no flag --${name}`);
    return spec;
  }
}

export function invalidValue(spec: FlagSpec, text: string, reason: string): UsageError {
  return new UsageError(`invalid argument ${goQuote(text)} for "${flagTitle(spec)}" flag: ${reason}`, 125, false);
}

/** Go's strconv.ParseBool. */
export function parseBool(text: string): boolean | null {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  return null;
}
