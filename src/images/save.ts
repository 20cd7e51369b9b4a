/**
 * `docker save`: one tar that is Docker's archive (`manifest.json`, `repositories`) and an OCI layout (`index.json`, `oci-layout`) over the same
 * stored bytes, so digests survive a round trip. A pure function of the images and the names asked for: sorted, times 0.
 */
import { Readable } from 'node:stream';
import { type WritableEntry, writeTar } from '../archive/tar-writer.ts';
import type { Digest } from '../base/brand.ts';
import { EngineError, notFound } from '../base/errors.ts';
import { digestHex } from '../oci/digest.ts';
import { copyMap } from '../oci/json.ts';
import { manifestLimitBytes, mediaTypes, parseManifest } from '../oci/manifest.ts';
import { canonicalName, familiarName, familiarReference, parseAnyReference, parseReference } from '../oci/reference.ts';
import type { BlobStore } from '../store/blobs.ts';
import type { ImageRecord, ImageRecords, ImageTarget } from './image-records.ts';
import type { ImageStore } from './image-store.ts';
import { isDigestKey, resolveImage } from './resolve.ts';

/** One target to save, under the tags that were asked for. */
interface SavedImage {
  readonly record: ImageRecord;
  readonly target: ImageTarget;
  /** Canonical, sorted. */
  readonly tags: readonly string[];
}

export async function saveImages(store: ImageStore, names: readonly string[]): Promise<Readable> {
  const images = selectImages(store.records, names);
  const lease = store.leases.acquire();
  try {
    const blobs = new Set(images.flatMap(({ target }) => target.blobs));
    for (const blob of blobs) lease.hold(blob);
    const documents = await archiveDocuments(store.blobs, images);
    const stream = Readable.from(writeTar(layoutEntries(store.blobs, blobs, documents)), {
      objectMode: false,
      highWaterMark: 1 << 20,
    });
    stream.once('close', () => lease.release());
    for (const { record } of images) store.emit({ action: 'save', id: record.id, attributes: { name: record.id } });
    return stream;
  } catch (thrown) {
    lease.release();
    throw thrown;
  }
}

/** A tag saves itself, a repository all its tags, an id no tag at all. */
function selectImages(records: ImageRecords, names: readonly string[]): readonly SavedImage[] {
  const selected = new Map<string, { record: ImageRecord; target: ImageTarget; tags: Set<string> }>();
  const add = (record: ImageRecord, digest: Digest, tag: string | null) => {
    const target = record.targets.get(digest);
    if (!target) throw new EngineError('system', `image ${record.id} has no target ${digest}`);
    const key = `${record.id} ${digest}`;
    const image = selected.get(key) ?? { record, target, tags: new Set<string>() };
    if (tag) image.tags.add(tag);
    selected.set(key, image);
  };
  for (const name of names) {
    const repository = wholeRepository(records, name);
    if (repository.length > 0) {
      for (const { record, target, reference } of repository) add(record, target, reference);
      continue;
    }
    const { record, by } = resolveImage(records, name);
    if (by === 'id') add(record, record.firstTarget, null);
    else add(record, by.target, isDigestKey(by.reference) ? null : by.reference);
  }
  if (selected.size === 0) throw notFound('No such image: name at least one image to save');
  return [...selected.values()].map(({ record, target, tags }) => ({ record, target, tags: [...tags].sort() }));
}

function wholeRepository(records: ImageRecords, name: string) {
  const any = parseAnyReference(name);
  if (any.kind === 'digest' || any.reference.tag !== null || any.reference.digest !== null) return [];
  const prefix = `${canonicalName(any.reference)}:`;
  return [...records.references()].flatMap(({ reference, id, target }) => {
    const record = records.get(id);
    return record && reference.startsWith(prefix) ? [{ record, target, reference }] : [];
  });
}

export interface Documents {
  readonly index: unknown;
  readonly manifest: unknown;
  readonly repositories: unknown;
}

export async function archiveDocuments(blobs: BlobStore, images: readonly Pick<SavedImage, 'target' | 'tags'>[]): Promise<Documents> {
  const index: unknown[] = [];
  const manifest: unknown[] = [];
  const repositories = new Map<string, [string, string][]>();
  for (const { target, tags } of images) {
    const { mediaType, digest } = target.manifest;
    const parsed = parseManifest(await blobs.readSmall(digest, manifestLimitBytes), mediaType, `manifest ${digest}`);
    if (parsed.kind !== 'manifest') throw new EngineError('system', `${digest} is recorded as a manifest and is an index`);
    const descriptor = { mediaType: target.descriptor.mediaType, digest: target.descriptor.digest, size: target.descriptor.size };
    index.push(...(tags.length === 0 ? [descriptor] : tags.map((tag) => ({ ...descriptor, annotations: annotationsOf(tag) }))));
    const familiar = tags.map((tag) => familiarReference(parseReference(tag)));
    const layers = parsed.layers.map((layer) => blobPath(layer.digest));
    manifest.push({ Config: blobPath(parsed.config.digest), RepoTags: familiar.length === 0 ? null : familiar, Layers: layers });
    const top = parsed.layers.at(-1);
    for (const tag of top ? tags : []) {
      const reference = parseReference(tag);
      const name = familiarName(reference);
      repositories.set(name, [...(repositories.get(name) ?? []), [reference.tag ?? '', digestHex(top?.digest ?? digest)]]);
    }
  }
  return {
    index: { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: index },
    manifest,
    repositories: copyMap([...repositories].map(([name, tags]) => [name, copyMap(tags)])),
  };
}

/** containerd's name is the whole one; the specification's own is just the tag. */
export function annotationsOf(tag: string): Record<string, string> {
  return { 'io.containerd.image.name': tag, 'org.opencontainers.image.ref.name': parseReference(tag).tag ?? '' };
}

/** An OCI layout with these blobs, and the documents that are given: `index`, of Docker's archive `manifest` and `repositories` too. */
export function* layoutEntries(store: BlobStore, blobs: ReadonlySet<Digest>, documents: Partial<Documents>): Generator<WritableEntry> {
  yield { entry: { type: 'directory', path: 'blobs/' } };
  yield { entry: { type: 'directory', path: 'blobs/sha256/' } };
  for (const blob of [...blobs].sort()) {
    yield { entry: { type: 'file', path: blobPath(blob), sizeBytes: store.sizeBytes(blob) }, content: store.stream(blob) };
  }
  yield document('index.json', documents.index);
  if (documents.manifest !== undefined) yield document('manifest.json', documents.manifest);
  yield document('oci-layout', { imageLayoutVersion: '1.0.0' });
  if (documents.repositories !== undefined) yield document('repositories', documents.repositories);
}

function document(path: string, value: unknown): WritableEntry {
  return { entry: { type: 'file', path }, content: Buffer.from(JSON.stringify(value)) };
}

export function blobPath(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}
