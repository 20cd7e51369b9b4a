/**
 * Docker's flag syntax (that of spf13/pflag), exactly: `--name=x`, `--name x`, `-it`, `-eK=V`, `-e=K=V`, `--rm=false`, `--` ends flags, and
 * for some commands the first argument ends them too. Not commander: it can't give a boolean flag a value, and costs 6 ms at every start.
 */

import { nearest } from '../../base/near-miss.ts';
import { UsageError } from '../cli-error.ts';
import type { FlagSpec, FlagSpecs } from './flag-spec.ts';
import { FlagValues, invalidValue, parseBool } from './flag-values.ts';
import { integerComplaint } from './go-integer.ts';

export interface ParsedArguments {
  readonly flags: FlagValues;
  readonly args: readonly string[];
  readonly helpWanted: boolean;
}

/** `interspersed` false: everything from the first argument on is arguments (`run IMAGE ls -l`). */
export function parseFlags(argv: readonly string[], specs: FlagSpecs, interspersed: boolean): ParsedArguments {
  return new FlagParser(specs, interspersed).parse(argv);
}

class FlagParser {
  readonly #specs: FlagSpecs;
  readonly #interspersed: boolean;
  readonly #flags: FlagValues;
  readonly #args: string[] = [];
  #rest: string[] = [];
  #helpWanted = false;

  constructor(specs: FlagSpecs, interspersed: boolean) {
    this.#specs = specs;
    this.#interspersed = interspersed;
    this.#flags = new FlagValues(specs);
  }

  parse(argv: readonly string[]): ParsedArguments {
    this.#rest = [...argv];
    for (let word = this.#rest.shift(); word !== undefined; word = this.#rest.shift()) {
      if (word === '--') break;
      if (word.startsWith('--')) this.#long(word.slice(2));
      else if (word.startsWith('-') && word.length > 1) this.#shorts(word.slice(1));
      else {
        this.#args.push(word);
        if (!this.#interspersed) break;
      }
    }
    return { flags: this.#flags, args: [...this.#args, ...this.#rest], helpWanted: this.#helpWanted };
  }

  #long(word: string): void {
    const equals = word.indexOf('=');
    const name = equals === -1 ? word : word.slice(0, equals);
    if (name === '' || name.startsWith('-')) throw flagError(`bad flag syntax: --${word}`);
    if (name === 'help') {
      this.#helpWanted = true;
      return;
    }
    const spec = this.#specs.find((candidate) => candidate.name === name);
    if (spec === undefined) throw this.#unknown(name);
    if (equals !== -1) this.#set(spec, word.slice(equals + 1));
    else if (spec.type === 'bool') this.#set(spec, 'true');
    else this.#set(spec, this.#next(`flag needs an argument: --${name}`));
  }

  #shorts(group: string): void {
    for (let at = 0; at < group.length; at += 1) {
      const letter = group.charAt(at);
      const spec = this.#specs.find((candidate) => candidate.short === letter);
      if (spec === undefined) {
        if (letter !== 'h') throw flagError(`unknown shorthand flag: '${letter}' in -${group}`);
        this.#helpWanted = true;
        return;
      }
      const rest = group.slice(at + 1);
      if (rest.length > 1 && rest.startsWith('=')) {
        this.#set(spec, rest.slice(1));
        return;
      }
      if (spec.type !== 'bool') {
        this.#set(spec, rest !== '' ? rest : this.#next(`flag needs an argument: '${letter}' in -${group}`));
        return;
      }
      this.#set(spec, 'true');
    }
  }

  #next(complaint: string): string {
    const value = this.#rest.shift();
    if (value === undefined) throw flagError(complaint);
    return value;
  }

  #set(spec: FlagSpec, value: string): void {
    if (spec.type === 'bool' && parseBool(value) === null)
      throw invalidValue(spec, value, `strconv.ParseBool: parsing "${value}": invalid syntax`);
    const complaint = /^u?int\d*$/.test(spec.type) ? integerComplaint(spec.type, value) : null;
    if (complaint !== null) throw invalidValue(spec, value, complaint);
    this.#flags.add(spec, value);
  }

  #unknown(name: string): UsageError {
    const near = nearest(
      name,
      this.#specs.filter((spec) => !spec.hidden).map((spec) => spec.name),
    );
    return flagError(`unknown flag: --${name}${near === null ? '' : `. Did you mean --${near}?`}`);
  }
}

function flagError(message: string): UsageError {
  return new UsageError(message, 125, false);
}
