/** Which libraries the loader of a container has to find because of devices: what ldconfig would list of the loader directories, read from the host's files. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { DeviceEdits, DeviceLink, DeviceMount } from '../device-edits.ts';
import { readElfFacts } from '../elf/elf-facts.ts';
import type { LoaderLibrary } from './merged-loader-cache.ts';

/** Of one directory that is mounted as a whole. */
const mostFiles = 8192;
const readAtOnce = 64;
const libraryName = /^(lib|ld-).*\.so(\.|$)/;

interface PlacedFile {
  /** In the container. */
  readonly path: string;
  readonly hostPath: string;
}

/** For `mergedLoaderCache`. Files that are no libraries, or vanished, are left out. */
export async function loaderLibraries(edits: Pick<DeviceEdits, 'mounts' | 'links' | 'loaderDirectories'>): Promise<LoaderLibrary[]> {
  const folders = new Set(edits.loaderDirectories.map((folder) => resolve(folder)));
  const files = await placedFiles(edits.mounts, folders);
  const found: LoaderLibrary[] = [];
  // Each reading holds a descriptor.
  for (let at = 0; at < files.length; at += readAtOnce) {
    const some = await Promise.all(files.slice(at, at + readAtOnce).map(libraryOf));
    found.push(...some.filter((library) => library !== null));
  }
  const places = new Map(found.map((library) => [library.path, library]));
  addLinks(
    places,
    edits.links.filter(({ path }) => folders.has(dirname(path)) && libraryName.test(basename(path))),
  );
  return [...places.values()].map((library) => atItsSoname(library, places));
}

/** Links may lead to links, in any order. */
function addLinks(places: Map<string, LoaderLibrary>, links: readonly DeviceLink[]): void {
  for (let before = -1; before < places.size; ) {
    before = places.size;
    for (const { path, target } of links) {
      const library = places.get(resolve(dirname(path), target));
      if (library !== undefined && !places.has(path)) places.set(path, { ...library, soname: basename(path), path });
    }
  }
}

/** `libcuda.so.1` where there is such a link, rather than the file that it leads to: as ldconfig, and the way that programs show. */
function atItsSoname(library: LoaderLibrary, places: ReadonlyMap<string, LoaderLibrary>): LoaderLibrary {
  const path = join(dirname(library.path), library.soname);
  return places.has(path) ? { ...library, path } : library;
}

async function libraryOf({ path, hostPath }: PlacedFile): Promise<LoaderLibrary | null> {
  const facts = await readElfFacts(hostPath).catch(() => null);
  return facts === null || facts.machine === null ? null : { soname: facts.soname ?? basename(path), path, machine: facts.machine };
}

async function placedFiles(mounts: readonly DeviceMount[], folders: ReadonlySet<string>): Promise<readonly PlacedFile[]> {
  const files: PlacedFile[] = [];
  for (const { kind, hostPath, containerPath, type } of mounts) {
    if (type !== '' && type !== 'bind') continue;
    if (kind === 'directory') files.push(...(await filesBelow(hostPath, resolve(containerPath), folders)));
    else if (folders.has(dirname(resolve(containerPath)))) files.push({ path: resolve(containerPath), hostPath });
  }
  return files.filter(({ path }) => libraryName.test(basename(path)));
}

/** Of the loader directories that a mounted directory is or holds. */
async function filesBelow(hostPath: string, mounted: string, folders: ReadonlySet<string>): Promise<readonly PlacedFile[]> {
  const within = [...folders].filter((folder) => folder === mounted || folder.startsWith(`${mounted}/`));
  const lists = within.map(async (folder) => {
    const hostFolder = join(hostPath, folder.slice(mounted.length));
    const names = await readdir(hostFolder).catch(() => []);
    return names.slice(0, mostFiles).map((name) => ({ path: join(folder, name), hostPath: join(hostFolder, name) }));
  });
  return (await Promise.all(lists)).flat();
}
