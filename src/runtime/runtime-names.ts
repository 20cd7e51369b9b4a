/**
 * The names that `--runtime` may give. `native` is our own and the default; `runc` is the program of that name where the machine has one, or is said to; others are
 * configured. Where there is no runc, `runc` means the default: clients of Docker send that name without a wish behind it. Where no `nvidia` is configured, that name
 * means the default with GPUs: who writes it wants what NVIDIA's runtime does, GPUs by the variables of the environment.
 */
import { invalid } from '../base/errors.ts';
import type { OciProgram } from './oci-compiler.ts';
import type { OciVersion } from './oci-version.ts';

export const nativeName = 'native';

export interface RuntimeNames {
  readonly defaultName: string;
  /** `path` of the native one is its name. */
  list(): readonly { readonly name: string; readonly path: string; readonly args: readonly string[] }[];
  /** The name to be stored for what was asked (`""`: the default). Throws for one that is not configured. */
  resolve(asked: string): string;
  /** The runtime that runs a container which was created with this name. */
  runner(name: string): string;
  /** The name is a wish for GPUs; a program that is configured by that name answers it itself. */
  meansGpus(name: string): boolean;
  /** Null for the native one. */
  version(name: string): Promise<OciVersion | null>;
}

/** As dockerd names its own way to call runc. */
const dockerNames: ReadonlySet<string> = new Set(['runc', 'io.containerd.runc.v2']);

const nvidiaName = 'nvidia';

export function runtimeNames(
  programs: readonly OciProgram[],
  defaultName: string,
  readVersion: (program: OciProgram) => Promise<OciVersion>,
): RuntimeNames {
  const byName = new Map(programs.map((program) => [program.name, program]));
  const versions = new Map<string, Promise<OciVersion>>();
  const meansGpus = (name: string): boolean => name === nvidiaName && !byName.has(name);
  const runner = (name: string): string => (meansGpus(name) ? defaultName : name);
  const resolve = (asked: string): string => {
    if (asked === '') return defaultName;
    if (asked === nativeName || byName.has(asked) || meansGpus(asked)) return asked;
    if (dockerNames.has(asked)) return byName.has('runc') ? 'runc' : nativeName;
    throw invalid(`unknown or invalid runtime name: ${asked}`);
  };
  resolve(defaultName);
  return {
    defaultName,
    list: () => [{ name: nativeName, path: nativeName, args: [] }, ...programs.map(({ name, path, args }) => ({ name, path, args }))],
    resolve,
    runner,
    meansGpus,
    async version(name) {
      const program = byName.get(runner(name));
      if (program === undefined) return null;
      const found = versions.get(program.name) ?? readVersion(program);
      versions.set(program.name, found);
      return found;
    },
  };
}

export const onlyNative: RuntimeNames = runtimeNames([], nativeName, () => Promise.reject(new Error('there is no program')));
