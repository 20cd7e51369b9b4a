/** The loader cache of a container that gets libraries: that of its image with those libraries added. They win over what the image has of the same name and kind. */
import { EngineError } from '../../base/errors.ts';
import { encodeLoaderCache } from './encode-loader-cache.ts';
import { type LibraryMachine, type LoaderCacheEntry, libraryFlags } from './loader-cache.ts';
import { parseLoaderCache } from './parse-loader-cache.ts';

export interface LoaderLibrary {
  /** What programs ask the loader for: the SONAME, or the name of a link. */
  readonly soname: string;
  /** In the container. */
  readonly path: string;
  readonly machine: LibraryMachine;
}

export interface MergedLoaderCache {
  readonly bytes: Buffer;
  /** What is wrong with the image's own, which counted as none, as it does for the loader; null: nothing. */
  readonly problem: string | null;
}

/** `existing`: the image's /etc/ld.so.cache, any bytes; null: it has none. Of two libraries of one name and kind the first counts. */
export function mergedLoaderCache(existing: Uint8Array | null, libraries: readonly LoaderLibrary[]): MergedLoaderCache {
  const { entries, problem } = readExisting(existing);
  const added = new Map<string, LoaderCacheEntry>();
  for (const library of libraries) {
    const entry = entryOf(library);
    if (!added.has(keyOf(entry))) added.set(keyOf(entry), entry);
  }
  const kept = entries.filter((entry) => !added.has(keyOf(entry)));
  return { bytes: encodeLoaderCache([...added.values(), ...kept]), problem };
}

const keyOf = ({ flags, soname }: LoaderCacheEntry): string => `${flags} ${soname}`;

function entryOf({ soname, path, machine }: LoaderLibrary): LoaderCacheEntry {
  const bytes = (text: string): string => Buffer.from(text).toString('latin1');
  return { soname: bytes(soname), path: bytes(path), flags: libraryFlags[machine], hwcaps: null, legacyHwcap: 0n, osVersion: 0 };
}

function readExisting(existing: Uint8Array | null): { readonly entries: readonly LoaderCacheEntry[]; readonly problem: string | null } {
  if (existing === null) return { entries: [], problem: null };
  try {
    return { entries: parseLoaderCache(existing), problem: null };
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { entries: [], problem: `the image's /etc/ld.so.cache is broken: ${error.message}` };
  }
}
