/** How a container's root is reached now: through its process, or as an overlay with its volumes, binds and /etc files. */
import { randomBytes } from 'node:crypto';
import { access, mkdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { ContainerId } from '../../base/brand.ts';
import { conflict, EngineError, errorText } from '../../base/errors.ts';
import type { OverlayLayers } from '../../linux/detached-overlay.ts';
import type { Container } from '../container.ts';
import type { ContainerContext } from '../container-context.ts';
import type { ContainerImageMount, ContainerVolume } from '../container-mounts.ts';
import { lowersOf, makeUpper } from '../container-rootfs.ts';
import type { MountSource, RestingMount, RestingRoot, RunningRoot } from './root-access.ts';

export function runningRoot(container: Container): RunningRoot | null {
  const { id, state, record } = container;
  if (state.status !== 'running') return null;
  return { kind: 'running', pid: state.process.pid, containerId: id, ids: record.idRange ?? null };
}

/** Of a container that does not run. Volumes that must be mounted for it are, as long as `use` takes. */
export async function withRestingRoot<T>(
  context: ContainerContext,
  container: Container,
  access: 'read' | 'write',
  use: (root: RestingRoot) => Promise<T>,
): Promise<T> {
  refuseGoing(container);
  const held: string[] = [];
  const holder = randomBytes(32).toString('hex') as ContainerId;
  try {
    const overlay = access === 'read' ? await readOverlay(context, container) : await writeOverlay(context, container);
    const mounts = await restingMounts(context, container, holder, held);
    return await use({ kind: 'resting', overlay, empty: container.paths.merged, mounts, makesMountPoints: access === 'write' });
  } finally {
    for (const name of held) {
      await context.volumes.unmount(name, holder).catch((error) => {
        context.logger.warn({ volume: name, error: errorText(error) }, 'cannot unmount a volume after files were copied');
      });
    }
  }
}

export function refuseGoing({ id, state }: Container): void {
  if (state.status === 'removing' || state.status === 'dead') throw conflict(`container ${id} is marked for removal: its files are going`);
}

/** What the container wrote is the topmost of read-only layers: another mount may have it as its upper directory at the same time. */
export async function readOverlay(context: ContainerContext, container: Container): Promise<OverlayLayers> {
  await makeDirectories(context, container);
  const { base, lowers } = lowersOf(context, container);
  return { base, lowers: [container.paths.upper, ...lowers], upper: null, work: null };
}

async function writeOverlay(context: ContainerContext, container: Container): Promise<OverlayLayers> {
  await makeDirectories(context, container);
  const { base, lowers } = lowersOf(context, container);
  const work = join(container.paths.directory, 'files-work');
  await mkdir(work, { recursive: true, mode: 0o700 });
  return { base, lowers, upper: container.paths.upper, work };
}

/** Absolute paths, topmost first. */
export async function layersBelow(context: ContainerContext, container: Container): Promise<readonly string[]> {
  await makeDirectories(context, container);
  const { base, lowers } = lowersOf(context, container);
  return lowers.map((lower) => (isAbsolute(lower) ? lower : join(base, lower)));
}

async function makeDirectories(context: ContainerContext, container: Container): Promise<void> {
  await Promise.all([makeUpper(context, container), mkdir(container.paths.merged, { recursive: true, mode: 0o700 })]);
}

async function restingMounts(
  context: ContainerContext,
  container: Container,
  holder: ContainerId,
  held: string[],
): Promise<readonly RestingMount[]> {
  const mounts: RestingMount[] = [];
  for (const mount of container.record.mounts) {
    // What a tmpfs held is gone.
    if (mount.kind === 'tmpfs') continue;
    const source = await sourceOf(context, container, mount, holder, held);
    const readOnly = mount.kind === 'image' || mount.readOnly;
    if (source !== null) mounts.push({ destination: mount.destination, readOnly, source });
  }
  const covered = new Set(container.record.mounts.map(({ destination }) => destination));
  return [...(await etcMounts(container)).filter(({ destination }) => !covered.has(destination)), ...mounts];
}

async function sourceOf(
  context: ContainerContext,
  { paths }: Container,
  mount: Exclude<Container['record']['mounts'][number], { readonly kind: 'tmpfs' }>,
  holder: ContainerId,
  held: string[],
): Promise<MountSource | null> {
  if (mount.kind === 'bind') return { kind: 'path', path: mount.source, subpath: '' };
  if (mount.kind === 'image') return imageSource(context, paths.merged, mount);
  const path = await volumePath(context, mount, holder, held);
  return path === null ? null : { kind: 'path', path, subpath: mount.subpath };
}

/** An overlay wants two directories at least. */
function imageSource({ layers }: ContainerContext, empty: string, { layers: refs, subpath }: ContainerImageMount): MountSource {
  const { base, lowers } = layers.mountOrder(refs);
  return { kind: 'layers', base, lowers: lowers.length < 2 ? [...lowers, empty] : lowers, subpath };
}

/** Null: the volume is gone. */
async function volumePath(
  { volumes }: ContainerContext,
  { name, destination, readOnly }: ContainerVolume,
  holder: ContainerId,
  held: string[],
): Promise<string | null> {
  try {
    const { driver, options, mountpoint } = await volumes.inspect(name);
    if (driver === 'local' && options === null) return mountpoint;
    const { path } = await volumes.mount(name, holder, { destination, propagation: '', 'read/write': String(!readOnly) });
    held.push(name);
    return path;
  } catch (error) {
    if (error instanceof EngineError && error.code === 'not-found') return null;
    throw error;
  }
}

/** From the first start on. */
async function etcMounts({ paths, hostConfig }: Container): Promise<readonly RestingMount[]> {
  const files: readonly (readonly [string, string])[] = [
    ['/etc/resolv.conf', paths.resolvConf],
    ['/etc/hostname', paths.hostname],
    ['/etc/hosts', paths.hosts],
  ];
  const there = await Promise.all(files.map(([, path]) => access(path).then(...answers)));
  return files
    .filter((_file, index) => there[index])
    .map(([destination, path]) => ({ destination, readOnly: hostConfig.ReadonlyRootfs, source: { kind: 'path', path, subpath: '' } }));
}

const answers = [() => true, () => false] as const;
