/**
 * `--cache-from`: records that other machines made. What there is is asked once, when the build starts; a layer is fetched when a step has its key and nobody here has made it. Whatever fails is a
 * warning: a build never fails for want of a cache.
 */

import { decompress } from '../../archive/compression.ts';
import type { DiffId, Digest } from '../../base/brand.ts';
import { EngineError, errorText, invalid } from '../../base/errors.ts';
import { chainIds, digestOf } from '../../oci/digest.ts';
import { isObject, parseJsonObject } from '../../oci/json.ts';
import { type Descriptor, type ImageManifest, parseManifest } from '../../oci/manifest.ts';
import type { BlobStore } from '../../store/blobs.ts';
import type { LayerSource, LayerStore } from '../../store/layer-store.ts';
import type { Lease } from '../../store/leases.ts';
import type { NewCacheRecord } from '../cache/build-cache.ts';
import type { Tree } from '../result.ts';
import { treeOf } from '../tree.ts';
import {
  type CacheDocument,
  type CacheDocumentRecord,
  cacheConfigType,
  cacheDocumentLimitBytes,
  cacheDocumentOf,
  inlineField,
  parseCacheDocument,
} from './cache-document.ts';
import type { CacheSource } from './cache-place.ts';

export interface ImportedCache {
  /** The record with its layer and blob here, held by the lease; null: nobody has it. `below`: the tree that the step stands on. */
  find(key: string, below: Tree, lease: Lease, signal: AbortSignal): Promise<NewCacheRecord | null>;
  /** What a cache mount held, as a tree that the lease holds; null: nobody has it. */
  mount(id: string, lease: Lease, signal: AbortSignal): Promise<Tree | null>;
}

export interface ImportParts {
  readonly blobs: BlobStore;
  readonly layers: LayerStore;
  /** `importing cache manifest from …` failed, a layer is damaged. */
  warn(text: string): void;
}

interface OpenCache {
  readonly source: CacheSource;
  readonly manifest: ImageManifest;
  readonly records: ReadonlyMap<string, CacheDocumentRecord>;
  readonly mounts: CacheDocument['mounts'];
}

/** In the order given: the first that has a record is asked for it. */
export async function importCaches(sources: readonly CacheSource[], parts: ImportParts, signal: AbortSignal): Promise<ImportedCache> {
  const opened = await Promise.all(sources.map((source) => openCache(source, parts, signal)));
  return new Caches(
    opened.filter((cache) => cache !== null),
    parts,
  );
}

async function openCache(source: CacheSource, { warn }: ImportParts, signal: AbortSignal): Promise<OpenCache | null> {
  try {
    const found = await source.manifest(signal);
    if (found === null) throw new EngineError('not-found', 'there is none');
    const manifest = parseManifest(found.bytes, found.mediaType, `the cache manifest of ${source.name}`);
    if (manifest.kind !== 'manifest') throw invalid('it is an index of several platforms: name the cache of one');
    const document = await documentOf(source, manifest, signal);
    return { source, manifest, records: new Map(document.records.map((record) => [record.key, record])), mounts: document.mounts };
  } catch (error) {
    signal.throwIfAborted();
    warn(`the build cache ${source.name} is not used: ${errorText(error)}`);
    return null;
  }
}

/** A cache of its own, or what an image says of the build it came from. */
async function documentOf(source: CacheSource, { config, layers }: ImageManifest, signal: AbortSignal): Promise<CacheDocument> {
  const what = `the cache ${source.name}`;
  const bytes = await collect(await source.blob(config, signal), config, what);
  if (config.mediaType === cacheConfigType) return cacheDocumentOf(bytes, layers.length, what);
  const inline = parseJsonObject(bytes, what)[inlineField];
  if (!isObject(inline)) throw invalid('the image carries no build cache: build it with --cache-to type=inline');
  return parseCacheDocument(inline, layers.length, what);
}

class Caches implements ImportedCache {
  readonly #caches: readonly OpenCache[];
  readonly #parts: ImportParts;

  constructor(caches: readonly OpenCache[], parts: ImportParts) {
    this.#caches = caches;
    this.#parts = parts;
  }

  async find(key: string, below: Tree, lease: Lease, signal: AbortSignal): Promise<NewCacheRecord | null> {
    for (const cache of this.#caches) {
      const record = cache.records.get(key);
      if (record === undefined) continue;
      try {
        const { kind, description } = record;
        return { ...(await this.#layer(cache, record, below.layers, lease, signal)), kind, description };
      } catch (error) {
        signal.throwIfAborted();
        this.#parts.warn(`a step of the build cache ${cache.source.name} is not used: ${errorText(error)}`);
      }
    }
    return null;
  }

  async mount(id: string, lease: Lease, signal: AbortSignal): Promise<Tree | null> {
    for (const cache of this.#caches) {
      const found = cache.mounts.find((mount) => mount.id === id);
      if (found === undefined) continue;
      try {
        const { layer } = await this.#layer(cache, found, [], lease, signal);
        return treeOf([layer]);
      } catch (error) {
        signal.throwIfAborted();
        this.#parts.warn(`a cache mount of the build cache ${cache.source.name} is not used: ${errorText(error)}`);
      }
    }
    return null;
  }

  async #layer(
    { source, manifest }: OpenCache,
    { layer, diffId }: Pick<CacheDocumentRecord, 'layer' | 'diffId'>,
    below: Tree['layers'],
    lease: Lease,
    signal: AbortSignal,
  ): Promise<Pick<NewCacheRecord, 'layer' | 'blob'>> {
    const { blobs, layers } = this.#parts;
    const descriptor = manifest.layers[layer];
    if (descriptor === undefined) throw invalid(`it has no layer ${layer}`);
    const blob = { digest: diffId as string as Digest, sizeBytes: 0 };
    lease.hold(blob.digest);
    if (!blobs.has(blob.digest)) {
      const what = `layer ${descriptor.digest} of ${source.name}`;
      await blobs.write(decompress(await source.blob(descriptor, signal)), { lease, expectedDigest: blob.digest, what, signal });
    }
    const refs = await layers.unpack(sourcesOf([...below.map((each) => each.diffId), diffId]), signal);
    const top = refs.at(-1);
    if (top === undefined) throw new EngineError('system', 'unpacking gave no layer');
    lease.holdLayer(top.directory);
    return { layer: top, blob: { ...blob, sizeBytes: blobs.sizeBytes(blob.digest) } };
  }
}

/** Plain tars: a blob has the digest of its layer. Those below are there already, and are not looked for. */
function sourcesOf(diffIds: readonly DiffId[]): readonly LayerSource[] {
  const chain = chainIds(diffIds);
  return diffIds.flatMap((diffId, index) => {
    const chainId = chain[index];
    return chainId === undefined ? [] : [{ blob: diffId as string as Digest, diffId, chainId }];
  });
}

async function collect(bytes: AsyncIterable<Uint8Array>, { digest, size }: Descriptor, what: string): Promise<Buffer> {
  if (size > cacheDocumentLimitBytes) throw invalid(`${what}: its config is larger than ${cacheDocumentLimitBytes} bytes`);
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of bytes) {
    pieces.push(piece);
    length += piece.length;
    if (length > size) throw invalid(`${what}: its config is longer than announced`);
  }
  const whole = Buffer.concat(pieces);
  if (digestOf(whole) !== digest) throw invalid(`${what}: its config is not the one announced`);
  return whole;
}
