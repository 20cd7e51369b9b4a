/**
 * Hooks that are known by what they do are not run but done by the engine itself, beside the image (links and the loader's cache, see `DeviceEdits`):
 *
 *     nvidia-cdi-hook │ nvidia-ctk hook │ nvidia-ctk-hook │ gantry device hook    (createContainer)
 *         create-symlinks --link TARGET::LINK …         ─▶ links
 *         update-ldcache --folder DIRECTORY …           ─▶ loaderDirectories; the links of SONAMEs come with them, so
 *         create-soname-symlinks --folder DIRECTORY …      is the same
 *         enable-cuda-compat --host-driver-version V    ─▶ cudaDriver
 *         disable-device-node-modification              ─▶ nothing: who gets the driver's nodes gets that too (`procFiles`)
 *
 * So a description that NVIDIA's toolkit wrote works where the toolkit is not, and nothing of the image is executed. Everything else, and an option that is not known
 * here, stays a hook and is run: `chmod` and `update-application-profile` look at the container as it is by then, which only their program can.
 */
import { posix } from 'node:path';
import { invalid } from '../base/errors.ts';
import type { CdiHook } from './cdi/cdi-spec.ts';
import type { DeviceLink } from './device-edits.ts';

export interface FoldedHook {
  readonly links: readonly DeviceLink[];
  readonly loaderDirectories: readonly string[];
  readonly cudaDriver?: string;
}

/** Null: it has to be run. `source` is for messages: whose description it is. Throws when what it asks for would leave the container's root. */
export function foldHook(hook: CdiHook, source: string): FoldedHook | null {
  if (hook.hookName !== 'createContainer') return null;
  const [command, ...args] = commandOf(hook) ?? [];
  if (command === 'create-symlinks') return foldLinks(args, source);
  if (command === 'enable-cuda-compat') return foldCompat(args);
  if (command === 'disable-device-node-modification' && args.length === 0) return { links: [], loaderDirectories: [] };
  return command === 'update-ldcache' || command === 'create-soname-symlinks' ? foldDirectories(args, source) : null;
}

/** The words after the program that is known; null: another program. */
function commandOf({ path, args = [] }: CdiHook): readonly string[] | null {
  const words = args.slice(1);
  switch (posix.basename(path)) {
    case 'nvidia-cdi-hook':
    case 'nvidia-ctk-hook':
      return words;
    case 'nvidia-ctk':
      return words[0] === 'hook' ? words.slice(1) : null;
    case 'gantry':
      return words[0] === 'device' && words[1] === 'hook' ? words.slice(2) : null;
    default:
      return null;
  }
}

function foldLinks(args: readonly string[], source: string): FoldedHook | null {
  const values = optionValues(args, ['link']);
  const pairs = values?.map(({ value }) => value.split('::'));
  if (pairs === undefined || pairs.some((pair) => pair.length !== 2 || pair.some((part) => part === ''))) return null;
  return { links: pairs.map(([target = '', link = '']) => ({ path: inContainer(link, source), target })), loaderDirectories: [] };
}

function foldDirectories(args: readonly string[], source: string): FoldedHook | null {
  // Which program of the host updates the cache is of no interest: none does.
  const values = optionValues(args, ['folder', 'ldconfig-path']);
  if (values === null) return null;
  const folders = values.filter(({ option, value }) => option === 'folder' && value !== '');
  return { links: [], loaderDirectories: folders.map(({ value }) => inContainer(value, source)) };
}

/** The version of CUDA is another way to say the same. */
function foldCompat(args: readonly string[]): FoldedHook | null {
  const values = optionValues(args, ['host-driver-version', 'host-cuda-version']) ?? [];
  const cudaDriver = values.find(({ option }) => option === 'host-driver-version')?.value;
  return cudaDriver === undefined ? null : { links: [], loaderDirectories: [], cudaDriver };
}

/** `--link x` and `--link=x`, with one dash or two; null: there is something else. */
function optionValues(
  args: readonly string[],
  known: readonly string[],
): readonly { readonly option: string; readonly value: string }[] | null {
  const found: { readonly option: string; readonly value: string }[] = [];
  const words = [...args];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const [, option = '', glued] = /^--?([a-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const value = glued ?? words.shift();
    // A comma divides values for some versions of the programs and not for others.
    if (!known.includes(option) || value === undefined || value.includes(',')) return null;
    found.push({ option, value });
  }
  return found;
}

/** Paths are the container's, from its root. */
function inContainer(path: string, source: string): string {
  if (path.split('/').includes('..'))
    throw invalid(`${source}: the hook that makes ${JSON.stringify(path)} in the container must not climb with ".."`);
  return posix.resolve('/', path);
}
