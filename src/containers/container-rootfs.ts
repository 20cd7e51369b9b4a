/** The root file system of a start: the image's layers, the init layer over them, and what the container itself wrote on top. */
import { chmod, chown, mkdir, utimes } from 'node:fs/promises';
import { hasErrnoCode } from '../base/errors.ts';
import type { UserFiles } from '../oci/users.ts';
import type { Rootfs } from '../runtime/runtime.ts';
import { readFileInLayers } from '../store/layer-stack.ts';
import type { Container } from './container.ts';
import type { ContainerContext } from './container-context.ts';

/** Far above any real one; an image with a giant /etc/group must not fill our memory (CVE-2026-47262). */
const maxUserFileBytes = 8 * 1024 * 1024;

export type OverlayRootfs = Extract<Rootfs, { kind: 'overlay' }>;

export interface PreparedRootfs {
  readonly rootfs: OverlayRootfs;
  readonly userFiles: UserFiles;
}

export async function prepareRootfs(context: ContainerContext, container: Container): Promise<PreparedRootfs> {
  const { paths } = container;
  // At each start: after a power loss a directory may be missing that the record promises.
  await Promise.all([
    makeUpper(context, container),
    mkdir(paths.work, { recursive: true, mode: 0o700 }),
    mkdir(paths.merged, { recursive: true, mode: 0o700 }),
  ]);
  const { base, lowers } = lowersOf(context, container);
  const text = (path: string) => readFileInLayers(base, [paths.upper, ...lowers], path, maxUserFileBytes)?.toString() ?? null;
  return {
    rootfs: {
      kind: 'overlay',
      lowerBase: base,
      lowers,
      upper: paths.upper,
      work: paths.work,
      target: paths.merged,
      trees: [context.layers.root, paths.directory],
    },
    userFiles: { passwd: text('/etc/passwd'), group: text('/etc/group') },
  };
}

/**
 * The init layer lies over the image's: an image cannot lead a mount elsewhere (SEC-12). What devices lay over it while the container runs is not among them: it is no
 * part of its files.
 */
export function lowersOf(
  { layers }: ContainerContext,
  { record }: Container,
): { readonly base: string; readonly lowers: readonly string[] } {
  const { base, lowers } = layers.mountOrder(record.layers);
  return { base, lowers: [layers.initLayer, ...lowers] };
}

/** What the image itself has. */
export function lowersOfImage(
  { layers }: Pick<ContainerContext, 'layers'>,
  image: Container['record']['layers'],
): { readonly base: string; readonly lowers: readonly string[] } {
  return layers.mountOrder(image);
}

/** At each start, and before its files are looked at. The container's `/` looks like the upper directory, whatever lies below: it takes over what the image says about `/`. */
export async function makeUpper({ layers }: ContainerContext, { record, paths }: Container): Promise<void> {
  try {
    await mkdir(paths.upper, { mode: 0o755 });
  } catch (error) {
    if (hasErrnoCode(error, 'EEXIST')) return;
    throw error;
  }
  const attributes = layers.rootAttributes(record.layers);
  if (attributes === null) return;
  await chown(paths.upper, attributes.uid, attributes.gid);
  await chmod(paths.upper, attributes.mode & 0o7777);
  const { seconds, nanoseconds } = attributes.modifiedAt;
  const modifiedAt = seconds + nanoseconds / 1e9;
  await utimes(paths.upper, modifiedAt, modifiedAt);
}
