/**
 * The driver's libraries for programs, below the driver root. Folders to look in are those where the root's loader cache has NVIDIA libraries, and those that
 * distributions and driver containers use. Libraries must be of the kernel module's version: they talk to it in a language that changes with every version.
 */
import { posix } from 'node:path';
import { readElfFacts } from '../elf/elf-facts.ts';
import type { HostTree } from '../host-tree.ts';
import type { LibraryMachine } from '../loader-cache/loader-cache.ts';
import { largestLoaderCache, parseLoaderCache } from '../loader-cache/parse-loader-cache.ts';
import { isDriverLibrary } from './library-kinds.ts';

export interface DriverLibrary {
  /** In the driver root, without links; containers have it in the same place. */
  readonly path: string;
  readonly soname: string | null;
  readonly machine: LibraryMachine;
  /** Names of links to it that the host has beside it, with their texts: `libnvidia-ml.so`. */
  readonly links: readonly { readonly name: string; readonly target: string }[];
}

export interface FoundLibraries {
  readonly libraries: readonly DriverLibrary[];
  /** Of every libcuda and libnvidia-ml that lies there. */
  readonly versions: readonly string[];
  /** What was looked through, for messages. */
  readonly folders: readonly string[];
}

const multiarch = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';

const usualFolders = [
  `/usr/lib/${multiarch}`,
  `/usr/lib/${multiarch}/nvidia/current`,
  '/usr/lib64',
  '/usr/lib',
  '/usr/lib/i386-linux-gnu',
  '/usr/lib/i386-linux-gnu/nvidia/current',
  '/usr/lib32',
  '/usr/local/nvidia/lib64',
  '/usr/local/nvidia/lib',
  '/opt/nvidia/lib64',
  '/run/opengl-driver/lib',
  '/run/opengl-driver-32/lib',
  '/lib64',
  `/lib/${multiarch}`,
];

/** Below such a folder. */
const innerFolders = ['vdpau', 'nvidia/xorg', 'xorg', 'tls'];

/** Real folders, without twice the same by links. */
export async function libraryFolders(driver: HostTree): Promise<readonly string[]> {
  const listed = [...(await cachedFolders(driver)), ...usualFolders];
  const real = await Promise.all(listed.map(async (folder) => await driver.resolve(folder)));
  return [...new Set(real.filter((folder) => folder !== null))];
}

/** Where the loader of the driver root finds NVIDIA's libraries. */
async function cachedFolders(driver: HostTree): Promise<readonly string[]> {
  const bytes = await driver.bytes('/etc/ld.so.cache', largestLoaderCache);
  const paths =
    bytes === null ? [] : entriesOf(bytes).filter(({ soname }) => /^lib(cuda|nvidia-ml|GLX_nvidia|EGL_nvidia)\.so/.test(soname));
  const real = await Promise.all(paths.map(async ({ path }) => await driver.resolve(path)));
  return [...new Set(real.filter((path) => path !== null).map((path) => posix.dirname(path)))];
}

/** A broken cache costs nothing but what only it knew. */
function entriesOf(bytes: Buffer): readonly { readonly soname: string; readonly path: string }[] {
  try {
    return parseLoaderCache(bytes);
  } catch {
    return [];
  }
}

export async function findLibraries(driver: HostTree, folders: readonly string[], version: string | null): Promise<FoundLibraries> {
  const listed = await Promise.all(folders.map(async (folder) => ({ folder, names: await driver.names(folder) })));
  const versions = listed.flatMap(({ names }) =>
    names.map((name) => name.match(/^lib(?:cuda|nvidia-ml)\.so\.(\d+(?:\.\d+)+)$/)?.[1] ?? ''),
  );
  const distinct = [...new Set(versions)].filter((each) => each !== '').sort(compareVersions);
  const wanted = version ?? distinct[0];
  if (wanted === undefined) return { libraries: [], versions: distinct, folders };
  const inner = folders.flatMap((folder) => innerFolders.map((name) => `${folder}/${name}`));
  const more = await Promise.all(inner.map(async (folder) => ({ folder, names: await driver.names(folder) })));
  const libraries = await Promise.all([...listed, ...more].map(async (each) => await librariesOf(driver, each, wanted)));
  return { libraries: withoutDoubles(libraries.flat()), versions: distinct, folders };
}

interface Listed {
  readonly folder: string;
  readonly names: readonly string[];
}

async function librariesOf(driver: HostTree, { folder, names }: Listed, version: string): Promise<readonly DriverLibrary[]> {
  const files = names.filter((name) => isDriverLibrary(name, version));
  const found = await Promise.all(files.map(async (name) => await libraryAt(driver, `${folder}/${name}`)));
  const libraries = found.filter((library) => library !== null);
  return await Promise.all(libraries.map(async (library) => ({ ...library, links: await developmentLinks(driver, library, names) })));
}

async function libraryAt(driver: HostTree, path: string): Promise<DriverLibrary | null> {
  const real = await driver.resolve(path);
  if (real === null) return null;
  const facts = await readElfFacts(driver.hostPath(real)).catch(() => null);
  if (facts === null || facts.machine === null) return null;
  return { path: real, soname: facts.soname, machine: facts.machine, links: [] };
}

/** `libnvidia-ml.so`, which some programs open. */
async function developmentLinks(driver: HostTree, { path }: DriverLibrary, names: readonly string[]): Promise<DriverLibrary['links']> {
  const name = posix.basename(path).replace(/\.so\..*/, '.so');
  if (!names.includes(name)) return [];
  const target = await driver.linkText(posix.join(posix.dirname(path), name));
  return target !== null && !target.includes('/') ? [{ name, target }] : [];
}

/** The same file by several ways, and one of one SONAME and machine in several folders: the first folder wins, as for the loader. */
function withoutDoubles(libraries: readonly DriverLibrary[]): readonly DriverLibrary[] {
  const kept = new Map<string, DriverLibrary>();
  for (const library of libraries) {
    const key = `${library.machine} ${library.soname ?? posix.basename(library.path)}`;
    if (!kept.has(key)) kept.set(key, library);
  }
  return [...kept.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** Newest first. */
function compareVersions(one: string, other: string): number {
  const [numbers, otherNumbers] = [one.split('.').map(Number), other.split('.').map(Number)];
  for (const [index, number] of otherNumbers.entries()) {
    const difference = number - (numbers[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return numbers.length > otherNumbers.length ? -1 : 0;
}
