/** What a step asks to be mounted, as mounts of a runtime spec: files, sockets and directories that they need are made in the step's own directory. */
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Mount } from '../../oci/runtime-spec.ts';
import { LayerStack } from '../../store/layer-stack.ts';
import type { MountPoint } from '../scaffold.ts';
import type { MountToMake } from '../spec-mounts.ts';
import { type AgentSocket, listenForAgent } from './agent-socket.ts';
import type { StepMount } from './step.ts';

export interface StepMounts {
  /** In the order of their depth with all others. */
  readonly mounts: readonly MountToMake[];
  /** After all others. */
  readonly secrets: readonly Mount[];
  readonly points: readonly MountPoint[];
  readonly sockets: readonly AgentSocket[];
}

interface Made {
  readonly mount?: MountToMake;
  readonly secret?: Mount;
  readonly socket?: AgentSocket;
  readonly kind: MountPoint['kind'];
  readonly mode?: number;
}

export async function makeStepMounts(directory: string, mounts: readonly StepMount[]): Promise<StepMounts> {
  const made: Made[] = [];
  try {
    for (const [index, mount] of mounts.entries()) made.push(await makeMount(join(directory, `m${index}`), mount));
  } catch (error) {
    for (const { socket } of made) socket?.close();
    throw error;
  }
  return {
    mounts: made.flatMap(({ mount }) => mount ?? []),
    secrets: made.flatMap(({ secret }) => secret ?? []),
    sockets: made.flatMap(({ socket }) => socket ?? []),
    points: made.map(({ kind, mode }, index) => ({
      target: mounts[index]?.target ?? '',
      kind,
      ...(mode === undefined ? {} : { mode }),
    })),
  };
}

async function makeMount(path: string, mount: StepMount): Promise<Made> {
  switch (mount.kind) {
    case 'tree':
      return makeTree(path, mount);
    case 'directory':
      return makeDirectory(mount);
    case 'file':
      writeFileSync(path, mount.content, { flag: 'wx' });
      chmodSync(path, mount.mode);
      return { kind: 'file', mount: bind(path, mount.target, true) };
    case 'tmpfs': {
      const size = mount.sizeBytes === null ? [] : [`size=${mount.sizeBytes}`];
      // Over nothing it is for everybody, as the kernel makes it; else it looks like the directory that it covers.
      return {
        kind: 'directory',
        mode: 0o1777,
        mount: { kind: 'tmpfs', destination: mount.target, options: ['nosuid', ...size], listed: false },
      };
    }
    case 'secret': {
      const { target, content, mode, uid, gid } = mount;
      return { kind: 'file', secret: { destination: target, type: 'memory-file', file: { content, mode, uid, gid } } };
    }
    case 'socket': {
      const socket = await listenForAgent(path, mount.connect);
      chmodSync(path, mount.mode);
      chownSync(path, mount.uid, mount.gid);
      return { kind: 'file', socket, mount: bind(path, mount.target, false) };
    }
  }
}

function makeDirectory({ source, target, subpath, writable }: Extract<StepMount, { kind: 'directory' }>): Made {
  return { kind: kindOf([source], subpath), mount: { ...bind(source, target, !writable), subpath: inside(subpath) } };
}

/** An overlay of its own, which takes two directories at least when it is only read. */
function makeTree(path: string, { target, directories, subpath, writable }: Extract<StepMount, { kind: 'tree' }>): Made {
  mkdirSync(path);
  const empty = join(path, 'empty');
  const [top = empty] = directories;
  const all = directories.length < (writable ? 1 : 2) ? [...directories, empty, `${empty}-2`].slice(0, 2) : directories;
  for (const directory of all) if (directory.startsWith(empty)) mkdirSync(directory);
  const base = dirname(top);
  const lowers = all.map((directory) => relative(base, directory));
  const layers = { kind: 'layers' as const, base, lowers, destination: target, subpath: inside(subpath) };
  const kind = kindOf(all, subpath);
  if (!writable) return { kind, mount: layers };
  const [upper, work] = [join(path, 'upper'), join(path, 'work')];
  for (const made of [upper, work]) mkdirSync(made);
  const root = statSync(top);
  chownSync(upper, root.uid, root.gid);
  chmodSync(upper, root.mode & 0o7777);
  return { kind, mount: { ...layers, writable: { upper, work } } };
}

/** What is missing is told by the start, which looks again. */
function kindOf(directories: readonly string[], subpath: string): MountPoint['kind'] {
  const found = new LayerStack(directories).resolve(subpath);
  return found === null || found.stats.isDirectory() ? 'directory' : 'file';
}

/** The runtime takes it relative. */
function inside(subpath: string): string {
  return subpath.replace(/^\/+/, '');
}

function bind(source: string, destination: string, readOnly: boolean) {
  const access = { readOnly, recursiveReadOnly: readOnly, recursive: false, propagation: 'rprivate' as const };
  return { kind: 'bind' as const, source, destination, ...access };
}
