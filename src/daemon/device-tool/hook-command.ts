/**
 * `gantry device hook create-symlinks | update-ldcache | enable-cuda-compat | chmod`: what a description that `gantry device generate` wrote asks other engines to run as a createContainer hook. Gantry
 * itself runs none of these (src/devices/fold-hooks.ts). The options are those of NVIDIA's own hook program, so that one description serves both.
 */
import { text } from 'node:stream/consumers';
import { invalid } from '../../base/errors.ts';
import type { ToolCommand } from '../tool-command.ts';
import type { ToolFlags } from '../tool-flags.ts';
import { type ContainerRoot, containerOfState } from './container-root.ts';
import { changeMode } from './hooks/change-mode.ts';
import { createSymlinks } from './hooks/create-symlinks.ts';
import { enableCudaCompat } from './hooks/enable-cuda-compat.ts';
import { updateLoaderCache } from './hooks/update-ldcache.ts';

const hooks: Readonly<Record<string, (container: ContainerRoot, flags: ToolFlags) => Promise<void>>> = {
  'create-symlinks': async (container, flags) => createSymlinks(container, flags.list('link')),
  'update-ldcache': async (container, flags) => {
    const problem = await updateLoaderCache(container, flags.list('folder'));
    if (problem !== null) process.stderr.write(`gantry device hook update-ldcache: ${problem}\n`);
  },
  'enable-cuda-compat': async (container, flags) => enableCudaCompat(container, flags.text('host-driver-version') ?? ''),
  chmod: async (container, flags) => changeMode(container, flags.text('mode') ?? '', flags.list('path')),
};

export const hookCommand: ToolCommand = {
  name: 'hook',
  summary: 'Do in a container of another engine what a description asks for',
  usage: `${Object.keys(hooks).join('|')} [OPTIONS]`,
  flags: [
    { name: 'link', kind: 'list', help: 'create-symlinks: TARGET::LINK (repeatable)' },
    { name: 'folder', kind: 'list', help: 'update-ldcache: a folder of libraries in the container (repeatable)' },
    {
      name: 'host-driver-version',
      kind: 'text',
      help: 'enable-cuda-compat: which driver the libraries of the image have to be newer than',
    },
    { name: 'mode', kind: 'text', help: 'chmod: permission bits, as 755' },
    { name: 'path', kind: 'list', help: 'chmod: of what in the container (repeatable)' },
  ],
  maxArgs: 1,
  more: 'It is run by an OCI runtime, which writes the state of the container to standard input.\n',
  async run(flags) {
    const name = flags.args[0] ?? '';
    const hook = Object.hasOwn(hooks, name) ? hooks[name] : undefined;
    if (hook === undefined) throw invalid(`unknown hook ${JSON.stringify(name)}: known are ${Object.keys(hooks).join(', ')}`);
    using container = await containerOfState(await text(process.stdin));
    await hook(container, flags);
    return 0;
  },
};
