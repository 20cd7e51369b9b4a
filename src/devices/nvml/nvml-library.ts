/** Where libnvidia-ml.so.1 is, for the programs that the driver root serves: in one of the folders where drivers put it, or where the loader's cache there says. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type LibraryMachine, libraryFlags } from '../loader-cache/loader-cache.ts';
import { parseLoaderCache } from '../loader-cache/parse-loader-cache.ts';

export interface NvmlLibrary {
  readonly path: string;
  /** Another one when the file is. */
  readonly stamp: string;
}

const soname = 'libnvidia-ml.so.1';
const machine: LibraryMachine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
/** Debian, Fedora and SUSE, Arch, container-optimised hosts, WSL, NixOS. */
const folders = [
  `/usr/lib/${machine}-linux-gnu`,
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/nvidia/lib64',
  '/usr/lib/wsl/lib',
  '/run/opengl-driver/lib',
];

/** Null: there is none. */
export async function findNvmlLibrary(driverRoot: string): Promise<NvmlLibrary | null> {
  return (
    (await firstOf(
      driverRoot,
      folders.map((folder) => `${folder}/${soname}`),
    )) ?? (await firstOf(driverRoot, await fromLoaderCache(driverRoot)))
  );
}

async function firstOf(driverRoot: string, paths: readonly string[]): Promise<NvmlLibrary | null> {
  for (const path of paths) {
    const found = await libraryAt(join(driverRoot, path));
    if (found !== null) return found;
  }
  return null;
}

async function libraryAt(path: string): Promise<NvmlLibrary | null> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path);
    return { path, stamp: [path, dev, ino, size, mtimeMs, ctimeMs].join(' ') };
  } catch {
    return null;
  }
}

/** A cache that is missing or broken names nothing. */
async function fromLoaderCache(driverRoot: string): Promise<readonly string[]> {
  try {
    const entries = parseLoaderCache(await readFile(join(driverRoot, 'etc/ld.so.cache')));
    return entries.filter((entry) => entry.soname === soname && entry.flags === libraryFlags[machine]).map(({ path }) => path);
  } catch {
    return [];
  }
}
