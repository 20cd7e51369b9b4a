/**
 * `enable-cuda-compat`, after `update-ldcache`: CUDA libraries of the image that are newer than the driver's come before them in the loader cache, and in what an `ldconfig`
 * inside reads.
 */
import { fstatSync, opendirSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { mergedLoaderCache } from '../../../devices/loader-cache/merged-loader-cache.ts';
import { largestLoaderCache } from '../../../devices/loader-cache/parse-loader-cache.ts';
import { compatDirectory, type ImageFiles, newerCudaLibraries } from '../../../devices/nvidia/cuda-compat.ts';
import { isErrno } from '../../../linux/ffi.ts';
import { closeDescriptor, O_DIRECTORY, O_PATH, O_RDONLY } from '../../../linux/file-calls.ts';
import { openInRoot, readFileInRoot } from '../../../linux/path-in-root.ts';
import type { ContainerRoot } from '../container-root.ts';
import { placeFile } from './place-in-root.ts';

const cachePath = '/etc/ld.so.cache';
/** Before the file of `update-ldcache`. */
const configurationPath = '/etc/ld.so.conf.d/00-gantry-cuda-compat.conf';

export function enableCudaCompat({ root }: Pick<ContainerRoot, 'root'>, driverVersion: string): void {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const libraries = newerCudaLibraries(filesBelow(root), driverVersion, machine);
  const cache = libraries.length === 0 ? null : readFileInRoot(root, cachePath, largestLoaderCache);
  // Nobody reads one that is not there.
  if (cache === null) return;
  placeFile(root, mergedLoaderCache(cache, libraries).bytes, cachePath);
  placeFile(root, `${compatDirectory}\n`, configurationPath);
}

function filesBelow(root: number): ImageFiles {
  const open = <T>(path: string, flags: number, work: (descriptor: number) => T): T | null => {
    let descriptor: number;
    try {
      descriptor = openInRoot(root, path, flags);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return null;
      throw error;
    }
    try {
      return work(descriptor);
    } finally {
      closeDescriptor(descriptor);
    }
  };
  return {
    file: (path) =>
      open(path, O_PATH, (descriptor) => (fstatSync(descriptor).isFile() ? basename(readlinkSync(`/proc/self/fd/${descriptor}`)) : null)),
    names: (path, most) =>
      open(path, O_RDONLY | O_DIRECTORY, (descriptor) => {
        using directory = opendirSync(`/proc/self/fd/${descriptor}`);
        const names: string[] = [];
        for (let entry = directory.readSync(); entry !== null && names.length < most; entry = directory.readSync()) names.push(entry.name);
        return names;
      }) ?? [],
  };
}
