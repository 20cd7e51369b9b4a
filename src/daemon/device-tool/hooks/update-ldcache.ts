/**
 * `update-ldcache`: the container's loader finds the libraries that were mounted into it. As ldconfig would, each gets a link of its SONAME; the image's own cache is merged
 * with entries for them, read from the host's files: nothing of the image is run. A file in ld.so.conf.d names their folders, so that an `ldconfig` inside keeps them.
 */
import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, posix } from 'node:path';
import { hasErrnoCode } from '../../../base/errors.ts';
import type { DeviceLink, DeviceMount } from '../../../devices/device-edits.ts';
import { loaderLibraries } from '../../../devices/loader-cache/loader-libraries.ts';
import { mergedLoaderCache } from '../../../devices/loader-cache/merged-loader-cache.ts';
import { largestLoaderCache } from '../../../devices/loader-cache/parse-loader-cache.ts';
import { isErrno } from '../../../linux/ffi.ts';
import { closeDescriptor, O_DIRECTORY, O_RDONLY, pathAt } from '../../../linux/file-calls.ts';
import { openInRoot, readFileInRoot } from '../../../linux/path-in-root.ts';
import type { BundleMount, ContainerRoot } from '../container-root.ts';
import { inParent } from './parents-in-root.ts';
import { placeFile, placeLink } from './place-in-root.ts';

const cachePath = '/etc/ld.so.cache';
const configurationPath = '/etc/ld.so.conf.d/00-gantry-devices.conf';

/** Answers with what was wrong with the image's cache, which then counted as none; null: nothing. */
export async function updateLoaderCache({ root, mounts }: ContainerRoot, folders: readonly string[]): Promise<string | null> {
  const places = [...new Set(folders.map((folder) => posix.resolve('/', folder)))];
  const binds = await bindsOf(mounts, places);
  const links = places.flatMap((folder) => linksIn(root, folder));
  const libraries = await loaderLibraries({ mounts: binds, links, loaderDirectories: places });
  for (const { soname, path } of libraries) if (basename(path) !== soname) linkSoname(root, path, soname);
  const { bytes, problem } = mergedLoaderCache(readFileInRoot(root, cachePath, largestLoaderCache), libraries);
  placeFile(root, bytes, cachePath);
  placeFile(root, places.map((folder) => `${folder}\n`).join(''), configurationPath);
  return problem;
}

/** Of files and directories that exist here: a runtime's own mounts (proc, tmpfs) bring no libraries. */
async function bindsOf(mounts: readonly BundleMount[], folders: readonly string[]): Promise<readonly DeviceMount[]> {
  const near = mounts.filter(({ type, destination }) => {
    const place = posix.resolve('/', destination);
    return type === 'bind' && folders.some((folder) => dirname(place) === folder || folder === place || folder.startsWith(`${place}/`));
  });
  const binds = near.map(async ({ source, destination }): Promise<readonly DeviceMount[]> => {
    const found = await stat(source).catch(() => null);
    if (found === null || !(found.isFile() || found.isDirectory())) return [];
    const kind = found.isFile() ? 'file' : 'directory';
    return [{ hostPath: source, containerPath: posix.resolve('/', destination), kind, options: [], type: '' }];
  });
  return (await Promise.all(binds)).flat();
}

/** The links that are there by now: of the image, and of the hook before this one. */
function linksIn(root: number, folder: string): readonly DeviceLink[] {
  let directory: number;
  try {
    directory = openInRoot(root, folder, O_RDONLY | O_DIRECTORY);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
  try {
    const entries = readdirSync(`/proc/self/fd/${directory}`, { withFileTypes: true }).filter((entry) => entry.isSymbolicLink());
    return entries.map(({ name }) => ({ path: posix.join(folder, name), target: readlinkSync(pathAt(directory, name), 'utf8') }));
  } finally {
    closeDescriptor(directory);
  }
}

/** In place of nothing, or of a link to what the image had: a file of the image stays. */
function linkSoname(root: number, path: string, soname: string): void {
  const link = posix.join(dirname(path), soname);
  const mayReplace = inParent(root, link, (parent, name) => {
    try {
      return lstatSync(pathAt(parent, name)).isSymbolicLink();
    } catch (error) {
      if (hasErrnoCode(error, 'ENOENT')) return true;
      throw error;
    }
  });
  if (mayReplace) placeLink(root, basename(path), link);
}
