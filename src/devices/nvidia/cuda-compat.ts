/**
 * CUDA's forward compatibility: images of nvidia/cuda bring the user-space part of the driver that their CUDA was made for (the package cuda-compat), which on GPUs for
 * data centers works with an older kernel module. When it is newer than the driver, by the first number of the version, the loader has to find it before the driver's.
 *
 * The image is looked at, never run: all that comes of it is that programs in the container load libraries of that image, which they could do anyway.
 */
import type { LibraryMachine } from '../loader-cache/loader-cache.ts';
import type { LoaderLibrary } from '../loader-cache/merged-loader-cache.ts';

/** Where NVIDIA's images have it, by a link to that of their CUDA. */
export const compatDirectory = '/usr/local/cuda/compat';

/** Of an image; links are followed inside it. */
export interface ImageFiles {
  /** The name of what a path leads to; null: no regular file. */
  file(path: string): string | null;
  /** Some of the names in a directory, `most` of them at most; empty when it is none. */
  names(path: string, most: number): readonly string[];
}

/** The package has a dozen. */
const mostNames = 256;
const libraryName = /^lib[\w.+-]+\.so[\w.]*$/;
const realName = /^libcuda\.so\.(\d{1,6})(?:\.\d{1,6}){1,3}$/;

/** Whether the image has them, and they are newer than that driver. */
export function hasNewerCuda(image: ImageFiles, driverVersion: string): boolean {
  // What programs load, whatever else lies there.
  const own = realName.exec(image.file(`${compatDirectory}/libcuda.so.1`) ?? '')?.[1];
  const driver = /^(\d{1,6})\./.exec(driverVersion)?.[1];
  return own !== undefined && driver !== undefined && Number(own) > Number(driver);
}

/** For the loader cache, before those of the driver; empty when the driver's are to be used. Of the names that ldconfig would find, and those of files themselves. */
export function newerCudaLibraries(image: ImageFiles, driverVersion: string, machine: LibraryMachine): readonly LoaderLibrary[] {
  if (!hasNewerCuda(image, driverVersion)) return [];
  return [...new Set(['libcuda.so.1', ...image.names(compatDirectory, mostNames)])]
    .filter((name) => libraryName.test(name) && image.file(`${compatDirectory}/${name}`) !== null)
    .sort()
    .map((soname) => ({ soname, path: `${compatDirectory}/${soname}`, machine }));
}
