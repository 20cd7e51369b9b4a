/**
 * What devices lay over an image, as content of a scaffold (scaffold.ts): mount points of the driver's files, the links that programs expect, and a loader cache in which
 * the image's programs find the driver's libraries. Nothing of the image is run for it; what it says (its loader cache, its links) is read as anybody's.
 *
 * CUDA libraries of the image that are newer than the driver come before the driver's (cuda-compat.ts). As ldconfig would, each library gets a link of its SONAME beside it. Images without glibc (musl, static programs) get no loader cache: nobody would read it.
 */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join, posix } from 'node:path';
import { EngineError, notImplemented } from '../base/errors.ts';
import type { DeviceEdits, DeviceLink, DeviceMount } from '../devices/device-edits.ts';
import { loaderLibraries } from '../devices/loader-cache/loader-libraries.ts';
import { type LoaderLibrary, mergedLoaderCache } from '../devices/loader-cache/merged-loader-cache.ts';
import { largestLoaderCache } from '../devices/loader-cache/parse-loader-cache.ts';
import { compatDirectory, newerCudaLibraries } from '../devices/nvidia/cuda-compat.ts';
import { type LayerStack, readFileInStack } from '../store/layer-stack.ts';
import { filesOfImage } from './image-files.ts';
import type { MountPoint, ScaffoldContent, ScaffoldTree } from './scaffold.ts';

export interface DeviceContent extends ScaffoldContent {
  readonly links: readonly DeviceLink[];
  readonly files: NonNullable<ScaffoldContent['files']>;
  /** What is wrong with the image, without being in the way; null: nothing. */
  readonly problem: string | null;
}

const cachePath = '/etc/ld.so.cache';
const configurationDirectory = '/etc/ld.so.conf.d';
/** Read first: what an ldconfig in the container finds of the same name elsewhere comes later. */
const configurationPath = `${configurationDirectory}/00-gantry-devices.conf`;

/** Whether devices with these edits need any layer. */
export function needsLayer(edits: DeviceEdits): boolean {
  return edits.mounts.some(({ containerPath }) => !isInDev(containerPath)) || edits.links.length > 0 || edits.loaderDirectories.length > 0;
}

/** Links below /dev are not in it: `linksInDev`. `covered`: where others mount; below that are no links of ours, and the cache names the libraries themselves. */
export async function deviceContent(all: DeviceEdits, tree: ScaffoldTree, covered: readonly string[]): Promise<DeviceContent> {
  const isCovered = (path: string): boolean => covered.some((mounted) => path.startsWith(`${mounted}/`));
  const points = all.mounts.map(({ containerPath, kind }): MountPoint => ({ target: containerPath, kind }));
  const edits = { ...all, links: all.links.filter(({ path }) => !isInDev(path) && !isCovered(path)) };
  const { links } = edits;
  const found = hasGlibc(tree.stack) ? await loaderLibraries(edits) : [];
  if (found.length === 0) return { points, links, files: [], covered, problem: null };
  const sonames = sonameLinks(found, edits).filter(({ path }) => !isCovered(path));
  // The cache names links, also those that lead to these.
  const libraries = sonames.length === 0 ? found : await loaderLibraries({ ...edits, links: [...edits.links, ...sonames] });
  const newer = isCovered(compatDirectory) || covered.includes(compatDirectory) ? [] : newerCuda(tree.stack, edits, libraries);
  const { content, problem } = loaderCache(tree.stack, [...newer, ...libraries]);
  const directories = [...(newer.length === 0 ? [] : [compatDirectory]), ...edits.loaderDirectories];
  const files = [{ path: cachePath, content }, ...loaderConfiguration(tree.stack, directories)];
  return { points, links: [...links, ...sonames], files, covered, problem };
}

/**
 * Beside each library a link of the name that programs ask for, unless something is mounted or linked there already, or the whole directory is mounted; of two libraries the
 * first has it.
 */
function sonameLinks(libraries: readonly LoaderLibrary[], { mounts, links }: DeviceEdits): readonly DeviceLink[] {
  const directories = mounts.filter(({ kind }) => kind === 'directory').map(({ containerPath }) => containerPath);
  const taken = new Set([...mounts.map(({ containerPath }) => containerPath), ...links.map(({ path }) => path)]);
  return libraries.flatMap(({ path, soname }) => {
    const directory = posix.dirname(path);
    const link = posix.join(directory, soname);
    const isMounted = directories.some((mounted) => directory === mounted || directory.startsWith(`${mounted}/`));
    if (link === path || isMounted || taken.has(link)) return [];
    taken.add(link);
    return [{ path: link, target: posix.basename(path) }];
  });
}

// --- the loader of the image ---

/** Where glibc's own loader is, by the ABIs of its machines. */
const loaders: readonly string[] = [
  '/lib64/ld-linux-x86-64.so.2',
  '/lib/ld-linux-aarch64.so.1',
  '/lib/ld-linux.so.2',
  '/lib/ld-linux-armhf.so.3',
  '/lib64/ld64.so.2',
  '/lib/ld-linux-riscv64-lp64d.so.1',
  '/lib64/ld-linux-loongarch-lp64d.so.1',
];

/** Images for musl may have a link of that name, to a loader that reads no cache. */
function hasGlibc(stack: LayerStack): boolean {
  if (stack.resolve(cachePath) !== null) return true;
  return loaders.some((path) => {
    const found = stack.resolve(path);
    return found?.stats.isFile() === true && !/musl|gcompat/.test(found.resolved.at(-1) ?? '');
  });
}

/** Of the image, or of what the container wrote: for the machine that the driver's own is for. */
function newerCuda(stack: LayerStack, { cudaDriver }: DeviceEdits, libraries: readonly LoaderLibrary[]): readonly LoaderLibrary[] {
  const own = libraries.find(({ soname, machine }) => soname === 'libcuda.so.1' && machine !== 'i386');
  return cudaDriver === null || own === undefined ? [] : newerCudaLibraries(filesOfImage(stack), cudaDriver, own.machine);
}

function loaderCache(
  stack: LayerStack,
  libraries: readonly LoaderLibrary[],
): { readonly content: Buffer; readonly problem: string | null } {
  const existing = existingCache(stack);
  const merged = mergedLoaderCache(existing.bytes, libraries);
  return { content: merged.bytes, problem: existing.problem ?? merged.problem };
}

/** What is no file, or too long for one, counts as none: as for the loader. */
function existingCache(stack: LayerStack): { readonly bytes: Uint8Array | null; readonly problem: string | null } {
  try {
    return { bytes: readFileInStack(stack, cachePath, largestLoaderCache), problem: null };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { bytes: null, problem: `the image's ${cachePath} is not read: ${error.message}` };
  }
}

/** So that an ldconfig that is run inside finds the same. Where the image has something else in the place of the directory there is none that reads it. */
function loaderConfiguration(stack: LayerStack, directories: readonly string[]): NonNullable<ScaffoldContent['files']> {
  const found = stack.resolve(configurationDirectory);
  const isFree = found === null && stack.lookup(configurationDirectory.split('/').slice(1)) === null;
  if (!isFree && found?.stats.isDirectory() !== true) return [];
  const lines = [...new Set(directories)].map((directory) => `${directory}\n`);
  return [{ path: configurationPath, content: Buffer.from(lines.join('')) }];
}

// --- links below /dev ---

const devLinkOptions = ['bind', 'ro', 'nosuid', 'nodev', 'noexec', 'rprivate'];

/**
 * /dev is a file system of its own, which runtimes fill with nodes only: a directory there that holds nothing but links (/dev/dri/by-path) is made in `directory` and mounted.
 */
export function linksInDev(directory: string, { links, nodes }: DeviceEdits): readonly DeviceMount[] {
  const parents = Map.groupBy(
    links.filter(({ path }) => isInDev(path)),
    ({ path }) => posix.dirname(path),
  );
  return [...parents].map(([containerPath, inside], index) => {
    const [first] = inside;
    if (containerPath === '/dev' || nodes.some(({ path }) => path === containerPath || path.startsWith(`${containerPath}/`)))
      throw notImplemented(
        `the link ${first?.path} of a device description cannot be made: links below /dev need a directory without device nodes`,
      );
    const hostPath = join(directory, `dev-${index}`);
    mkdirSync(hostPath, { mode: 0o755 });
    const targets = new Map(inside.map(({ path, target }) => [posix.basename(path), target]));
    for (const [name, target] of targets) symlinkSync(target, join(hostPath, name));
    return { hostPath, containerPath, kind: 'directory', options: devLinkOptions, type: '' };
  });
}

function isInDev(path: string): boolean {
  return path.startsWith('/dev/');
}
