/**
 * `--add-runtime NAME=PATH`, the key `runtimes` of the configuration file (dockerd's shape), and `--default-runtime`. A program `runc` where Debian and others put
 * it is known without being named.
 */
import { accessSync, constants } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { invalid } from '../base/errors.ts';
import type { OciProgram } from '../runtime/oci-compiler.ts';
import { nativeName } from '../runtime/runtime-names.ts';
import type { Setting } from './setting.ts';

export interface RuntimeOptions {
  readonly programs: readonly OciProgram[];
  readonly defaultName: string;
  /** Of the programs those that somebody asked for; a runc that is merely installed is not among them, unless it is the default. */
  readonly chosen: readonly string[];
}

export const runtimeSettings: readonly Setting[] = [
  { flag: 'default-runtime', key: 'default-runtime', kind: 'text', help: 'runtime of containers that name none (native)' },
  {
    flag: 'add-runtime',
    key: 'runtimes',
    kind: 'list',
    help: 'NAME=PATH of an OCI runtime: runc, crun and their like (repeatable)',
    fromJson: runtimesFromJson,
  },
];

/** What one call of a runtime's program may take before it is killed. */
const defaultPatienceSeconds = 30;
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export function runtimeOptions(values: ReadonlyMap<string, readonly string[]>): RuntimeOptions {
  const programs = (values.get('add-runtime') ?? []).map(parseProgram);
  const names = programs.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(`the runtime "${twice}" is configured twice (--add-runtime)`);
  const found = names.includes('runc') ? null : installedRunc();
  const all = found === null ? programs : [...programs, found];
  const defaultName = values.get('default-runtime')?.at(-1) ?? nativeName;
  if (defaultName !== nativeName && !all.some(({ name }) => name === defaultName)) {
    throw invalid(
      `invalid value for --default-runtime: "${defaultName}" is not configured. Add it with --add-runtime ${defaultName}=PATH; known are ${[nativeName, ...all.map(({ name }) => name)].join(', ')}`,
    );
  }
  return { programs: all, defaultName, chosen: [...new Set([...names, defaultName])] };
}

/** `NAME=PATH`; or, from the configuration file, the whole as JSON. */
function parseProgram(text: string): OciProgram {
  if (text.startsWith('{')) return JSON.parse(text) as OciProgram;
  const at = text.indexOf('=');
  if (at <= 0) throw invalid(`invalid value for --add-runtime: ${JSON.stringify(text)}. Write NAME=PATH`);
  return checkedProgram(text.slice(0, at), text.slice(at + 1), [], defaultPatienceSeconds, '--add-runtime');
}

function checkedProgram(name: string, path: string, args: readonly string[], patienceSeconds: number, where: string): OciProgram {
  if (!namePattern.test(name))
    throw invalid(`${where}: invalid runtime name ${JSON.stringify(name)}, only ${namePattern.source} is allowed`);
  if (name === nativeName) throw invalid(`${where}: runtime name "${nativeName}" is reserved`);
  if (path === '') throw invalid(`${where}: the runtime "${name}" has no path`);
  if (path.includes('/') && !isAbsolute(path))
    throw invalid(`${where}: the path of the runtime "${name}" must be absolute, or a name to be found in PATH`);
  return { name, path, args, patienceMs: patienceSeconds * 1000 };
}

function runtimesFromJson(value: unknown, name: string): readonly string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${name} must be an object of runtimes by name`);
  return Object.entries(value).map(([runtime, entry]) => JSON.stringify(programFromJson(runtime, entry, `${name}: ${runtime}`)));
}

function programFromJson(name: string, entry: unknown, where: string): OciProgram {
  if (typeof entry !== 'object' || entry === null) throw invalid(`${where} must be an object with a path`);
  const { path, runtimeArgs = [], timeoutSeconds = defaultPatienceSeconds, ...rest } = entry as Record<string, unknown>;
  const [other] = Object.keys(rest);
  if (other !== undefined) {
    throw invalid(`${where} has the key ${other}: only path, runtimeArgs and timeoutSeconds are known (containerd's shims are not used)`);
  }
  if (typeof path !== 'string') throw invalid(`${where} must have a path`);
  if (!Array.isArray(runtimeArgs) || !runtimeArgs.every((argument) => typeof argument === 'string'))
    throw invalid(`${where}: runtimeArgs must be a list of strings`);
  if (typeof timeoutSeconds !== 'number' || !(timeoutSeconds > 0 && timeoutSeconds <= 3600))
    throw invalid(`${where}: timeoutSeconds must be a number from 0 to 3600`);
  return checkedProgram(name, path, runtimeArgs, timeoutSeconds, where);
}

const usualDirectories = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

function installedRunc(): OciProgram | null {
  for (const directory of usualDirectories) {
    const path = join(directory, 'runc');
    try {
      accessSync(path, constants.X_OK);
      return { name: 'runc', path, args: [], patienceMs: defaultPatienceSeconds * 1000 };
    } catch {
      // Not there.
    }
  }
  return null;
}
