/**
 * The hooks of descriptions that this engine makes itself. In the form of NVIDIA's (`create-symlinks`, `update-ldcache`, `enable-cuda-compat`), so that a description written to a file
 * serves other engines too, which run them; this engine folds them into links and loader directories and runs nothing.
 */
import type { CdiHook } from './cdi/cdi-spec.ts';
import type { DeviceLink } from './device-edits.ts';

/** Where tools/install.sh puts it. */
export const installedProgram = '/usr/local/bin/gantry';

/** None for no links. */
export function linkHooks(program: string, links: readonly DeviceLink[]): readonly CdiHook[] {
  return links.length === 0
    ? []
    : [
        hook(
          program,
          'create-symlinks',
          links.flatMap(({ path, target }) => ['--link', `${target}::${path}`]),
        ),
      ];
}

export function loaderHooks(program: string, folders: readonly string[]): readonly CdiHook[] {
  return folders.length === 0
    ? []
    : [
        hook(
          program,
          'update-ldcache',
          folders.flatMap((folder) => ['--folder', folder]),
        ),
      ];
}

/** After the loader's: what the image has comes first in its cache. */
export function compatHooks(program: string, driverVersion: string): readonly CdiHook[] {
  return [hook(program, 'enable-cuda-compat', [`--host-driver-version=${driverVersion}`])];
}

function hook(program: string, name: string, args: readonly string[]): CdiHook {
  return { hookName: 'createContainer', path: program, args: ['gantry', 'device', 'hook', name, ...args] };
}
