/** The root file system of a start: the image's layers, the init layer over them, and what the container itself wrote on top. */
import { mkdir } from 'node:fs/promises';
import type { Rootfs } from '../runtime/runtime.ts';
import { readFileInLayers } from '../store/layer-stack.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';
import type { UserFiles } from './users.ts';

/** Far above any real one; an image with a giant /etc/group must not fill our memory (CVE-2026-47262). */
const maxUserFileBytes = 8 * 1024 * 1024;

export interface PreparedRootfs {
  readonly rootfs: Rootfs;
  readonly userFiles: UserFiles;
}

export async function prepareRootfs(context: ContainerContext, { record, paths }: Container): Promise<PreparedRootfs> {
  // At each start: after a power loss a directory may be missing that the record promises.
  await mkdir(paths.upper, { recursive: true, mode: 0o755 });
  await mkdir(paths.work, { recursive: true, mode: 0o700 });
  await mkdir(paths.merged, { recursive: true, mode: 0o700 });
  const { base, lowers } = context.layers.mountOrder(record.layers);
  const text = (path: string) => readFileInLayers(base, [paths.upper, ...lowers], path, maxUserFileBytes)?.toString() ?? null;
  return {
    rootfs: { kind: 'overlay', lowerBase: base, lowers, upper: paths.upper, work: paths.work, target: paths.merged },
    userFiles: { passwd: text('/etc/passwd'), group: text('/etc/group') },
  };
}
