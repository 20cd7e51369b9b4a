/** Where a cache is kept: a repository of a registry (handed in by the daemon), or an OCI layout in a directory. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../base/brand.ts';
import { EngineError, hasErrnoCode, invalid } from '../../base/errors.ts';
import { digestHex } from '../../oci/digest.ts';
import { type Descriptor, manifestLimitBytes, parseManifest } from '../../oci/manifest.ts';

export interface CacheSource {
  /** For messages: `registry.example/app:cache`. */
  readonly name: string;
  /** Null: there is none. */
  manifest(signal: AbortSignal): Promise<{ readonly mediaType: string; readonly bytes: Buffer } | null>;
  /** Not checked: whoever reads it knows the digest. */
  blob(descriptor: Descriptor, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

export interface CacheTarget {
  readonly name: string;
  putBlob(blob: CacheBlob, signal: AbortSignal): Promise<void>;
  /** After its blobs. */
  putManifest(mediaType: string, bytes: Buffer, signal: AbortSignal): Promise<void>;
}

export interface CacheBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  open(offsetBytes: number): AsyncIterable<Uint8Array>;
}

/** `directory` is ours (a received context): its files are regular, or they are refused. */
export function layoutSource(directory: string, tag: string, name: string): CacheSource {
  const path = (digest: Digest) => join(directory, 'blobs', 'sha256', digestHex(digest));
  return {
    name,
    async manifest() {
      const bytes = await readRegular(join(directory, 'index.json'));
      if (bytes === null) return null;
      const index = parseManifest(bytes, null, `index.json of ${name}`);
      if (index.kind !== 'index') throw invalid(`index.json of ${name} is not an index`);
      const tagged = index.manifests.find(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === tag);
      const found = tagged ?? (tag === 'latest' ? index.manifests[0] : undefined);
      if (found === undefined) return null;
      const manifest = await readRegular(path(found.digest));
      return manifest === null ? null : { mediaType: found.mediaType, bytes: manifest };
    },
    blob: async ({ digest }) => createReadStream(path(digest)) as AsyncIterable<Uint8Array>,
  };
}

/** Null: it is not there. */
async function readRegular(path: string): Promise<Buffer | null> {
  try {
    await using file = await open(path, 'r');
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > manifestLimitBytes) throw new EngineError('invalid', `${path} is no manifest`);
    return await file.readFile();
  } catch (error) {
    if (hasErrnoCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}
