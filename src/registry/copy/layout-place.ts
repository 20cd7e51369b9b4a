/**
 * A directory in the form of an OCI image layout (image-layout.md), as the source or the destination of a copy:
 *
 *     oci-layout                       {"imageLayoutVersion":"1.0.0"}
 *     index.json                       what there is by name: descriptors with `org.opencontainers.image.ref.name`
 *     blobs/sha256/<64 hex>            everything, by digest
 *
 * A blob is written beside its place, put on the disk and renamed when size and digest agree; `index.json` is replaced as a whole, last. So a copy that is cut leaves what was there as it
 * was, and blobs that the next one finds.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../base/brand.ts';
import { EngineError, errorText, hasErrnoCode, invalid, notFound } from '../../base/errors.ts';
import { digestHex, digestOf, isDigest } from '../../oci/digest.ts';
import { isObject, parseJsonObject } from '../../oci/json.ts';
import { type Descriptor, type ImageIndex, manifestLimitBytes, mediaTypes, parseManifest } from '../../oci/manifest.ts';
import { formatPlatform } from '../../oci/platform.ts';
import type { BlobCopy, BlobOutcome, FetchedDocument, ImageDestination, ImageSource } from './image-place.ts';

const nameKey = 'org.opencontainers.image.ref.name';
const layoutFile = 'oci-layout';
const layoutVersion = '1.0.0';
const emptyIndex: ImageIndex = { kind: 'index', mediaType: mediaTypes.ociIndex, manifests: [], annotations: {} };

export class LayoutPlace implements ImageSource, ImageDestination {
  readonly repository = null;
  readonly #directory: string;
  #indexChange: Promise<void> = Promise.resolve();

  constructor(directory: string) {
    this.#directory = directory;
  }

  get name(): string {
    return `oci:${this.#directory}`;
  }

  /** Before it is written to: makes it, unless something else is there. */
  async prepare(): Promise<void> {
    await mkdir(join(this.#directory, 'blobs', 'sha256'), { recursive: true }).catch((cause) => {
      throw new EngineError('system', `cannot make ${this.#directory}: ${errorText(cause)}`, { cause });
    });
    const names = await readdir(this.#directory);
    const isLayout = names.includes(layoutFile);
    if (!isLayout && names.some((name) => name !== 'blobs'))
      throw invalid(`${this.#directory} is not empty and no OCI layout (it has no file ${layoutFile}): give another directory`);
    if (!isLayout) await this.#replace(layoutFile, Buffer.from(JSON.stringify({ imageLayoutVersion: layoutVersion })));
    await this.#index();
  }

  async fetch(reference: string | null, _signal: AbortSignal): Promise<FetchedDocument> {
    if (reference !== null && isDigest(reference)) return await this.#document(reference, null);
    const descriptor = this.#named(await this.#index(), reference);
    const { bytes } = await this.#document(descriptor.digest, descriptor);
    return { descriptor: plain(descriptor), bytes };
  }

  async *open(blob: Descriptor, offsetBytes: number, _signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const path = this.#blobPath(blob.digest);
    const { size } = await stat(path).catch((cause) => {
      throw this.#unreadable(blob.digest, cause);
    });
    if (size !== blob.size) throw this.#damaged(blob.digest, `it has ${size} bytes where ${blob.size} were announced`);
    if (offsetBytes < size) yield* createReadStream(path, { start: offsetBytes, highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>;
  }

  async *tags(_signal: AbortSignal): AsyncGenerator<string> {
    yield* new Set((await this.#index()).manifests.flatMap((entry) => nameOf(entry) ?? []));
  }

  /** Everything that the index names is looked at: a layout keeps no other list. */
  async referrers(digest: Digest, _signal: AbortSignal): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = [];
    for (const entry of (await this.#index()).manifests) {
      const { bytes } = await this.#document(entry.digest, entry);
      const { subject } = parseJsonObject(bytes, `${this.name}: manifest ${entry.digest}`);
      if (isObject(subject) && subject.digest === digest) found.push(plain(entry));
    }
    return found;
  }

  /** A layout is files, which people delete: that a manifest is there does not mean that its parts are. What nothing leads to but the index must be named there, too. */
  async holds({ digest, size }: Descriptor): Promise<boolean> {
    if ((await this.#sizeOf(digest)) !== size || !(await this.#isWhole(digest))) return false;
    const { bytes } = await this.#document(digest, null);
    return !isReferrer(bytes) || (await this.#index()).manifests.some((entry) => entry.digest === digest);
  }

  async putBlob({ blob, open: openSource, onProgress }: BlobCopy): Promise<BlobOutcome> {
    if ((await this.#sizeOf(blob.digest)) === blob.size) return 'exists';
    await this.#write(blob, openSource(0), onProgress);
    return 'copied';
  }

  /** What has no tag is in the index too, if nothing there leads to it: otherwise nobody would find it. */
  async putManifest({ descriptor, bytes }: FetchedDocument, tag: string | null): Promise<void> {
    if ((await this.#sizeOf(descriptor.digest)) !== descriptor.size) await this.#write(descriptor, [bytes], () => {});
    if (tag !== null || isReferrer(bytes)) await this.#enter(descriptor, tag);
  }

  async #write(
    blob: Descriptor,
    source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    onProgress: (bytes: number) => void,
  ): Promise<void> {
    const temporary = join(this.#directory, 'blobs', `.${digestHex(blob.digest).slice(0, 16)}.${randomBytes(6).toString('hex')}`);
    try {
      const hash = createHash('sha256');
      let sizeBytes = 0;
      {
        await using file = await open(temporary, 'wx', 0o644);
        for await (const chunk of source) {
          sizeBytes += chunk.length;
          if (sizeBytes > blob.size) break;
          hash.update(chunk);
          await file.write(chunk);
          onProgress(sizeBytes);
        }
        await file.sync();
      }
      if (sizeBytes !== blob.size)
        throw invalid(`blob ${blob.digest} has ${sizeBytes > blob.size ? 'more' : sizeBytes} bytes where ${blob.size} were announced`);
      const digest = `sha256:${hash.digest('hex')}`;
      if (digest !== blob.digest) throw invalid(`blob ${blob.digest} is damaged: its digest is ${digest}`);
      await rename(temporary, this.#blobPath(blob.digest));
      await syncDirectory(join(this.#directory, 'blobs', 'sha256'));
    } catch (thrown) {
      await rm(temporary, { force: true }).catch(() => {});
      if (hasErrnoCode(thrown, 'ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EACCES'))
        throw new EngineError('system', `cannot write blob ${blob.digest} to ${this.#directory}: ${thrown.message}`, { cause: thrown });
      throw thrown;
    }
  }

  /** One after the other: each reads what the one before wrote. */
  async #enter(descriptor: Descriptor, tag: string | null): Promise<void> {
    const change = this.#indexChange.then(async () => {
      const index = await this.#index();
      const others = index.manifests.filter((entry) =>
        tag === null ? entry.digest !== descriptor.digest || nameOf(entry) !== null : nameOf(entry) !== tag,
      );
      const entry = { ...plain(descriptor), ...(tag === null ? {} : { annotations: { [nameKey]: tag } }) };
      const document = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [...others, entry], ...annotationsOf(index) };
      await this.#replace('index.json', Buffer.from(JSON.stringify(document)));
    });
    this.#indexChange = change.catch(() => {});
    await change;
  }

  #named({ manifests }: ImageIndex, tag: string | null): Descriptor {
    const names = [...new Set(manifests.flatMap((entry) => nameOf(entry) ?? []))];
    const there = names.length > 0 ? `there is ${names.join(', ')}` : `it has ${manifests.length} images without a name`;
    const found = manifests.filter((entry) => tag === null || nameOf(entry) === tag);
    const [only] = found;
    if (only === undefined) throw notFound(tag === null ? `${this.name} holds no image` : `${this.name} has no image ${tag}: ${there}`);
    if (found.length > 1) {
      if (tag === null) throw invalid(`${this.name} holds several images: say which one, as ${this.name}:${names[0] ?? 'TAG'} (${there})`);
      const platforms = found.map(({ platform, digest }) => (platform ? formatPlatform(platform) : digest));
      throw invalid(`${this.name} has several images ${tag} (${platforms.join(', ')}): say which one, as ${this.name}@${only.digest}`);
    }
    return only;
  }

  async #index(): Promise<ImageIndex> {
    const path = join(this.#directory, 'index.json');
    let bytes: Buffer;
    try {
      const version = parseJsonObject(
        await readFile(join(this.#directory, layoutFile)),
        join(this.#directory, layoutFile),
      ).imageLayoutVersion;
      if (version !== layoutVersion)
        throw invalid(`${this.#directory} is an OCI layout of version ${JSON.stringify(version)}; only ${layoutVersion} is known`);
      bytes = await readFile(path);
    } catch (thrown) {
      if (!hasErrnoCode(thrown, 'ENOENT', 'ENOTDIR')) throw thrown;
      if (thrown.path === path) return emptyIndex;
      throw notFound(`${this.#directory} is no OCI layout: it has no file ${layoutFile}`, { cause: thrown });
    }
    const index = parseManifest(bytes, null, path);
    if (index.kind !== 'index') throw invalid(`${path} is not an index`);
    return index;
  }

  /** `announced` null: known by its digest only, so it says itself what it is. */
  async #document(digest: Digest, announced: Descriptor | null): Promise<FetchedDocument> {
    const path = this.#blobPath(digest);
    let bytes: Buffer;
    try {
      const { size } = await stat(path);
      if (size > manifestLimitBytes) throw this.#damaged(digest, `a manifest of ${size} bytes is more than is read`);
      bytes = await readFile(path);
    } catch (thrown) {
      throw this.#unreadable(digest, thrown);
    }
    if (digestOf(bytes) !== digest) throw this.#damaged(digest, `its digest is ${digestOf(bytes)}`);
    const { mediaType } = parseManifest(bytes, announced?.mediaType ?? null, `${this.name}: manifest ${digest}`);
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
  }

  /** Everything below a manifest has its size. */
  async #isWhole(digest: Digest, depth = 0): Promise<boolean> {
    if (depth > 6) return false;
    const { bytes, descriptor } = await this.#document(digest, null);
    const document = parseManifest(bytes, descriptor.mediaType);
    const parts = document.kind === 'index' ? document.manifests : [document.config, ...document.layers];
    for (const part of parts) {
      if ((await this.#sizeOf(part.digest)) !== part.size) return false;
      if (document.kind === 'index' && !(await this.#isWhole(part.digest, depth + 1))) return false;
    }
    return true;
  }

  async #sizeOf(digest: Digest): Promise<number | null> {
    try {
      return (await stat(this.#blobPath(digest))).size;
    } catch (thrown) {
      if (hasErrnoCode(thrown, 'ENOENT')) return null;
      throw thrown;
    }
  }

  async #replace(name: string, bytes: Uint8Array): Promise<void> {
    const temporary = join(this.#directory, `.${name}.${randomBytes(6).toString('hex')}`);
    {
      await using file = await open(temporary, 'wx', 0o644);
      await file.writeFile(bytes);
      await file.sync();
    }
    await rename(temporary, join(this.#directory, name));
    await syncDirectory(this.#directory);
  }

  #blobPath(digest: Digest): string {
    return join(this.#directory, 'blobs', 'sha256', digestHex(digest));
  }

  #unreadable(digest: Digest, thrown: unknown): unknown {
    if (!hasErrnoCode(thrown, 'ENOENT')) return thrown;
    return notFound(`${this.name} has no blob ${digest}: the layout is not complete`, { cause: thrown });
  }

  #damaged(digest: Digest, why: string): EngineError {
    return invalid(`${this.name}: blob ${digest} is damaged: ${why}`);
  }
}

/** A bare tag; tools that write a whole name there (`docker.io/library/busybox:1.36`) mean the tag at its end. */
function nameOf({ annotations }: Descriptor): string | null {
  const written = annotations?.[nameKey];
  if (!written) return null;
  const colon = written.lastIndexOf(':');
  return colon > written.lastIndexOf('/') ? written.slice(colon + 1) : written;
}

function isReferrer(bytes: Uint8Array): boolean {
  return parseJsonObject(bytes, 'manifest').subject !== undefined;
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function annotationsOf({ annotations }: ImageIndex): { readonly annotations?: Readonly<Record<string, string>> } {
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

async function syncDirectory(path: string): Promise<void> {
  await using handle = await open(path, 'r');
  await handle.sync();
}
