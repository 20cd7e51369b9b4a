/** `--env`, `--env-file`, `--label`, `--label-file`. */
import { readFileSync } from 'node:fs';
import { CliError } from '../cli-error.ts';
import { fileErrorText } from '../file-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Files first, so that the command line wins. `K` alone takes the value of our own environment; without one it takes the variable away from the image's (in files: is left out). */
export function collectEnvironment(files: readonly string[], given: readonly string[], environment: Environment): string[] {
  const fromFiles = files.flatMap((file) => readEntries(file, 'env file', environment));
  return [...fromFiles, ...given.flatMap((entry) => environmentEntry(entry, environment) ?? [entry])];
}

/** Null: it stands for a variable that we don't have. */
function environmentEntry(entry: string, environment: Environment): string[] | null {
  if (entry === '' || entry.startsWith('=')) throw new Error(`invalid environment variable: ${entry}`);
  if (entry.includes('=')) return [entry];
  const value = environment[entry];
  return value === undefined ? null : [`${entry}=${value}`];
}

export function validateEnvironmentEntry(entry: string): string {
  if (entry === '' || entry.startsWith('=')) throw new Error(`invalid environment variable: ${entry}`);
  return entry;
}

export function collectLabels(files: readonly string[], given: readonly string[]): Record<string, string> {
  return keyValueMap([...files.flatMap((file) => readEntries(file, 'label file', null)), ...given]);
}

/** The prototype is null: a label may be called `__proto__`. */
export function keyValueMap(entries: readonly string[]): Record<string, string> {
  const map: Record<string, string> = Object.create(null);
  for (const entry of entries) {
    const equals = entry.indexOf('=');
    map[equals === -1 ? entry : entry.slice(0, equals)] = equals === -1 ? '' : entry.slice(equals + 1);
  }
  return map;
}

function readEntries(path: string, what: string, environment: Environment | null): string[] {
  const entries: string[] = [];
  const text = readText(path).replace(/^\uFEFF/, '');
  for (const line of text.split(/\r?\n/)) {
    const trimmed = line.trimStart();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const equals = trimmed.indexOf('=');
    const name = (equals === -1 ? trimmed : trimmed.slice(0, equals)).trimStart();
    if (name === '') throw new CliError(`invalid ${what} (${path}): no variable name on line '${line}'`, 125);
    if (/\s/.test(equals === -1 ? name.trimEnd() : name))
      throw new CliError(`invalid ${what} (${path}): variable '${name}' contains whitespaces`, 125);
    if (equals !== -1) entries.push(trimmed);
    // A label without a value means nothing in a file, as with Docker.
    else if (environment !== null) entries.push(...(environmentEntry(name.trimEnd(), environment) ?? []));
  }
  return entries;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError(fileErrorText(error), 125, { cause: error });
  }
}
