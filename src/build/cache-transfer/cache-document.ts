/**
 * How a build cache looks in a registry or on a disk: an OCI image manifest whose config lists records, and whose layers are theirs. Every registry takes it, and a layer that an image of the same
 * repository has is not sent twice.
 *
 *     {"version": 1, "records": [{"key": "…", "layer": 0, "diffId": "sha256:…", "kind": "run", "description": "RUN make"}], "mounts": [{"id": "…", "layer": 1, "diffId": "sha256:…"}]}
 *
 * A key says what was done to what; that the layer is what came of it is the word of whoever wrote the cache. Importing one is trusting its author, as running an image is.
 */
import type { DiffId } from '../../base/brand.ts';
import { invalid } from '../../base/errors.ts';
import { parseDigest } from '../../oci/digest.ts';
import { isObject, type JsonObject, parseJsonObject } from '../../oci/json.ts';
import type { NewCacheRecord } from '../cache/build-cache.ts';

export const cacheConfigType = 'application/vnd.gantry.build-cache.v1+json';
/** Of `inline`: the field of an image's config. */
export const inlineField = 'gantry.build-cache.v1';

export const cacheDocumentLimitBytes = 16 * 1024 * 1024;
const entriesLimit = 10_000;

export interface CacheDocument {
  readonly records: readonly CacheDocumentRecord[];
  readonly mounts: readonly CacheDocumentMount[];
}

interface LayerOf {
  /** Index in the layers of the manifest. */
  readonly layer: number;
  readonly diffId: DiffId;
}

export interface CacheDocumentRecord extends LayerOf {
  readonly key: string;
  readonly kind: NewCacheRecord['kind'];
  readonly description: string;
}

/** What a cache mount held, as a tar. */
export interface CacheDocumentMount extends LayerOf {
  /** What it is known by (`CacheMounts`), origin included. */
  readonly id: string;
}

/** Sorted by key: the same records give the same bytes. */
export function encodeCacheDocument({ records, mounts }: CacheDocument): Buffer {
  const byKey = (one: string, other: string) => (one < other ? -1 : 1);
  const sorted = {
    version: 1,
    records: [...records]
      .sort((one, other) => byKey(one.key, other.key))
      .map(({ key, layer, diffId, kind, description }) => ({ key, layer, diffId, kind, description })),
    mounts: [...mounts].sort((one, other) => byKey(one.id, other.id)).map(({ id, layer, diffId }) => ({ id, layer, diffId })),
  };
  return Buffer.from(JSON.stringify(sorted));
}

/** `layers`: how many the manifest has. Errors: `invalid`. */
export function parseCacheDocument(value: unknown, layers: number, what: string): CacheDocument {
  if (!isObject(value) || value.version !== 1) throw invalid(`${what} is not a build cache of a version that is known here`);
  const list = (name: 'records' | 'mounts') => {
    const entries = value[name] ?? [];
    if (!Array.isArray(entries) || entries.length > entriesLimit || !entries.every(isObject)) throw invalid(`${what}: ${name} is wrong`);
    return entries as readonly JsonObject[];
  };
  return {
    records: list('records').map((entry) => ({ ...layerOf(entry, layers, what), ...recordOf(entry, what) })),
    mounts: list('mounts').map((entry) => ({ ...layerOf(entry, layers, what), id: hexField(entry, 'id', what) })),
  };
}

export function cacheDocumentOf(bytes: Uint8Array, layers: number, what: string): CacheDocument {
  if (bytes.length > cacheDocumentLimitBytes) throw invalid(`${what} is larger than ${cacheDocumentLimitBytes} bytes`);
  return parseCacheDocument(parseJsonObject(bytes, what), layers, what);
}

function layerOf(entry: JsonObject, layers: number, what: string): LayerOf {
  const { layer } = entry;
  if (typeof layer !== 'number' || !Number.isInteger(layer) || layer < 0 || layer >= layers)
    throw invalid(`${what} names a layer that it does not have`);
  return { layer, diffId: parseDigest(entry.diffId, what) as string as DiffId };
}

function recordOf(entry: JsonObject, what: string): Pick<CacheDocumentRecord, 'key' | 'kind' | 'description'> {
  const { kind, description } = entry;
  if (kind !== 'run' && kind !== 'copy' && kind !== 'directory') throw invalid(`${what}: ${JSON.stringify(kind)} is no kind of step`);
  if (typeof description !== 'string' || description.length > 10_000) throw invalid(`${what} has a record without a description`);
  return { key: hexField(entry, 'key', what), kind, description };
}

/** Keys and ids are digests in hex: they become names of rows and directories. */
function hexField(entry: JsonObject, name: string, what: string): string {
  const value = entry[name];
  if (typeof value !== 'string' || !/^(sha256:)?[0-9a-f]{64}$/.test(value)) throw invalid(`${what}: ${name} is not a digest`);
  return value;
}
