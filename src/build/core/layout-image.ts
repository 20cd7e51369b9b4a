/**
 * An image in an OCI layout that the client handed over as a context: brought into the image store as `docker load` does, without a name, so that it is a base like any other. Only what
 * the chosen image needs is read; every blob is checked against its digest on the way.
 */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WritableEntry } from '../../archive/tar-writer.ts';
import { writeTar } from '../../archive/tar-writer.ts';
import type { Digest } from '../../base/brand.ts';
import { EngineError, invalid } from '../../base/errors.ts';
import type { ImageRecord } from '../../images/image-records.ts';
import type { ImageStore } from '../../images/image-store.ts';
import { loadArchive } from '../../images/load.ts';
import { digestHex } from '../../oci/digest.ts';
import { type Descriptor, isIndexType, manifestLimitBytes, mediaTypes, parseManifest } from '../../oci/manifest.ts';
import { choosePlatform, formatPlatform, type Platform } from '../../oci/platform.ts';
import { type ContextIndex, readContextIndex } from '../context/context-index.ts';
import type { ContextFiles } from '../result.ts';

const NAME = 'org.opencontainers.image.ref.name';
const FULL_NAME = 'io.containerd.image.name';
const NESTING = 4;

/** `reference`: `[:TAG][@DIGEST]`, empty: its only image. */
export async function loadLayoutImage(
  store: ImageStore,
  files: ContextFiles,
  reference: string,
  platform: Platform,
  signal: AbortSignal,
): Promise<ImageRecord> {
  const layout = new Layout(files);
  const index = parseManifest(await layout.bytes('index.json'), null, 'index.json of the OCI layout');
  if (index.kind !== 'index') throw invalid('index.json of the OCI layout is not an index');
  const chosen = choose(index.manifests, reference, platform);
  const blobs = await layout.blobsOf(chosen, platform);
  const source = writeTar(entriesOf(layout, chosen, blobs));
  const [id] = await loadArchive(store, source, { host: platform, onProgress: () => {}, signal });
  const record = id === undefined ? undefined : store.records.get(id);
  if (record === undefined)
    throw new EngineError('conflict', 'the image of the OCI layout was removed while it was brought: build once more');
  return record;
}

function choose(entries: readonly Descriptor[], reference: string, platform: Platform): Descriptor {
  const [, tag = '', digest = ''] = /^(?::([^@]*))?(?:@(.*))?$/.exec(reference) ?? [];
  if (tag === '' && digest === '' && reference !== '')
    throw invalid(`${JSON.stringify(reference)} is not [:TAG][@DIGEST] of an OCI layout`);
  const fitting = entries.filter((entry) => (digest === '' || entry.digest === digest) && (tag === '' || isNamed(entry, tag)));
  const [first, ...others] = fitting;
  if (first === undefined) throw invalid(`the OCI layout has no image ${reference}: it has ${namesOf(entries)}`);
  if (others.length === 0) return first;
  const latest = tag === '' && digest === '' ? fitting.filter((entry) => isNamed(entry, 'latest')) : [];
  const [only, ...more] = latest.length > 0 ? latest : fitting;
  const forPlatform = more.length === 0 ? only : (choosePlatform(fitting, platform) ?? undefined);
  if (forPlatform !== undefined) return forPlatform;
  throw invalid(`the OCI layout has several images: name one of them as oci-layout://PATH:TAG or @DIGEST: ${namesOf(entries)}`);
}

function isNamed({ annotations }: Descriptor, tag: string): boolean {
  return (
    annotations?.[NAME] === tag ||
    annotations?.[NAME]?.endsWith(`:${tag}`) === true ||
    annotations?.[FULL_NAME]?.endsWith(`:${tag}`) === true
  );
}

function namesOf(entries: readonly Descriptor[]): string {
  const names = entries.slice(0, 8).map(({ annotations, digest }) => annotations?.[FULL_NAME] ?? annotations?.[NAME] ?? digest);
  return names.length === 0 ? 'none' : names.join(', ');
}

/** What an image needs, without names: what is loaded is to get none. */
async function* entriesOf(layout: Layout, chosen: Descriptor, blobs: readonly Descriptor[]): AsyncGenerator<WritableEntry> {
  const { mediaType, digest, size, platform } = chosen;
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [{ mediaType, digest, size, ...(platform === undefined ? {} : { platform }) }],
  };
  yield { entry: { type: 'file', path: 'oci-layout' }, content: Buffer.from('{"imageLayoutVersion":"1.0.0"}') };
  yield { entry: { type: 'file', path: 'index.json' }, content: Buffer.from(JSON.stringify(index)) };
  for (const blob of blobs) {
    const path = blobPath(blob.digest);
    yield { entry: { type: 'file', path, sizeBytes: layout.sizeOf(path) }, content: createReadStream(layout.path(path)) };
  }
}

class Layout {
  readonly #directory: string;
  readonly #index: ContextIndex;

  constructor({ directory, index }: ContextFiles) {
    if (index === null) throw new EngineError('system', 'the files have no index: they are no context');
    this.#directory = directory;
    this.#index = readContextIndex(index);
  }

  /** Everything that the image is made of, each once. */
  async blobsOf(target: Descriptor, platform: Platform, depth = 1): Promise<readonly Descriptor[]> {
    if (depth > NESTING) throw invalid('the OCI layout nests indexes too deeply');
    const what = `${isIndexType(target.mediaType) ? 'index' : 'manifest'} ${target.digest}`;
    const document = parseManifest(await this.bytes(blobPath(target.digest)), target.mediaType, what);
    if (document.kind === 'manifest') return onlyOnce([target, document.config, ...document.layers]);
    const chosen = choosePlatform(document.manifests, platform) ?? document.manifests.find((entry) => entry.platform === undefined);
    if (chosen === undefined) throw invalid(`no matching manifest for ${formatPlatform(platform)} in the manifest list entries (${what})`);
    return onlyOnce([target, ...(await this.blobsOf(chosen, platform, depth + 1))]);
  }

  async bytes(path: string): Promise<Buffer> {
    if (this.sizeOf(path) > manifestLimitBytes) throw invalid(`${path} of the OCI layout is larger than ${manifestLimitBytes} bytes`);
    return await readFile(this.path(path));
  }

  /** Only regular files, and no links on the way: the client chose what is there. */
  path(path: string): string {
    this.#require(path);
    return join(this.#directory, path);
  }

  sizeOf(path: string): number {
    return this.#require(path).sizeBytes;
  }

  #require(path: string) {
    const entry = this.#index.get(path);
    if (entry?.type !== 'file') throw invalid(`the OCI layout has no file ${path}`);
    return entry;
  }
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

function onlyOnce(descriptors: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(descriptors.map((descriptor) => [descriptor.digest, descriptor])).values()];
}
