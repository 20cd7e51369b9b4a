/**
 * OCI image layouts (image-layout.md): `index.json` points to manifests and indexes, `blobs/sha256/…` holds everything by digest.
 * Docker ≥ 25, buildx, podman, skopeo and crane write it. Every blob's digest is checked against the name it came under.
 */
import type { Digest } from '../base/brand.ts';
import { EngineError, invalid } from '../base/errors.ts';
import { digestHex } from '../oci/digest.ts';
import { imageConfigLimitBytes } from '../oci/image-config.ts';
import { type Descriptor, type ImageManifest, isIndexType, manifestLimitBytes, parseManifest } from '../oci/manifest.ts';
import { choosePlatform, formatPlatform, type Platform, runsOn } from '../oci/platform.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../oci/reference.ts';
import type { StagedBlob } from '../store/blobs.ts';
import type { Lease } from '../store/leases.ts';
import type { IncomingImage } from './admit.ts';
import type { ArchiveFiles } from './archive-files.ts';

/** An index in an index in an index: nobody needs it, a loop would. */
const nestingLimit = 4;

export interface LayoutImage {
  readonly image: IncomingImage;
  /** Canonical tags. */
  readonly references: readonly string[];
}

export function isOciLayout(files: ArchiveFiles): boolean {
  return files.has('index.json');
}

/** The images of a layout, one after the other, their blobs committed under the lease. */
export async function* readOciLayout(files: ArchiveFiles, host: Platform, lease: Lease): AsyncGenerator<LayoutImage> {
  const index = parseManifest(await files.bytes('index.json', manifestLimitBytes), null, 'index.json');
  if (index.kind !== 'index') throw invalid('index.json of the image archive is not an index');
  const layout = new Layout(files, host, lease);
  for (const { descriptor, references } of layout.chosen(index.manifests)) yield { image: await layout.image(descriptor), references };
}

class Layout {
  readonly #files: ArchiveFiles;
  readonly #host: Platform;
  readonly #lease: Lease;

  constructor(files: ArchiveFiles, host: Platform, lease: Lease) {
    this.#files = files;
    this.#host = host;
    this.#lease = lease;
  }

  /** One entry per image: several of one name are its platforms, several of one digest are its tags. */
  chosen(entries: readonly Descriptor[]): readonly { readonly descriptor: Descriptor; readonly references: readonly string[] }[] {
    const byDigest = new Map<Digest, { descriptor: Descriptor; references: string[] }>();
    for (const [reference, named] of Map.groupBy(entries.filter(isImage), nameOf)) {
      for (const descriptor of reference === null ? this.#unnamed(named) : [this.#forHost(named, `index.json, ${reference}`)]) {
        const image = byDigest.get(descriptor.digest) ?? { descriptor, references: [] };
        if (reference !== null) image.references.push(reference);
        byDigest.set(descriptor.digest, image);
      }
    }
    if (byDigest.size === 0) throw invalid('index.json of the image archive names no image');
    return [...byDigest.values()];
  }

  async image(target: Descriptor): Promise<IncomingImage> {
    const documents: Descriptor[] = [];
    const { descriptor, manifest } = await this.#manifest(target, documents);
    const config = await this.#bytes(manifest.config, imageConfigLimitBytes);
    for (const { digest } of [...documents, manifest.config, ...manifest.layers]) await this.#staged(digest).commit(this.#lease);
    const layerBlobs = manifest.layers.map(({ digest }) => digest);
    const blobs = [...documents.map(({ digest }) => digest), manifest.config.digest, ...layerBlobs];
    return {
      config: manifest.config,
      configBytes: config,
      target: { descriptor: plain(target), manifest: plain(descriptor), blobs: [...new Set(blobs)] },
      layerBlobs,
    };
  }

  /** Follows indexes to this machine's manifest. Every layer is checked to be there, whole, before anything is committed. */
  async #manifest(target: Descriptor, documents: Descriptor[]): Promise<{ descriptor: Descriptor; manifest: ImageManifest }> {
    if (documents.length >= nestingLimit) throw invalid('the image archive nests indexes too deeply');
    documents.push(target);
    const what = `${isIndexType(target.mediaType) ? 'index' : 'manifest'} ${target.digest}`;
    const document = parseManifest(await this.#bytes(target, manifestLimitBytes), target.mediaType, what);
    if (document.kind === 'index') return await this.#manifest(this.#forHost(document.manifests, what), documents);
    for (const layer of document.layers) this.#checked(layer);
    return { descriptor: target, manifest: document };
  }

  #forHost(entries: readonly Descriptor[], what: string): Descriptor {
    const [only] = entries;
    if (entries.length === 1 && only && !only.platform) return only;
    const chosen = choosePlatform(entries, this.#host) ?? entries.find(({ platform }) => !platform);
    if (!chosen) throw invalid(`no matching manifest for ${formatPlatform(this.#host)} in the manifest list entries (${what})`);
    return chosen;
  }

  #unnamed(entries: readonly Descriptor[]): readonly Descriptor[] {
    const usable = entries.filter(({ platform }) => !platform || runsOn(platform, this.#host));
    if (usable.length === 0)
      throw invalid(`no matching manifest for ${formatPlatform(this.#host)} in the manifest list entries (index.json)`);
    return usable;
  }

  async #bytes(descriptor: Descriptor, limitBytes: number): Promise<Buffer> {
    this.#checked(descriptor);
    return await this.#files.bytes(blobPath(descriptor.digest), limitBytes);
  }

  #checked(descriptor: Descriptor): void {
    const { sizeBytes } = this.#staged(descriptor.digest);
    if (sizeBytes !== descriptor.size) {
      throw invalid(
        `the image archive is damaged: ${blobPath(descriptor.digest)} has ${sizeBytes} bytes where ${descriptor.size} were announced`,
      );
    }
  }

  #staged(digest: Digest): StagedBlob {
    const path = blobPath(digest);
    const staged = this.#files.file(path);
    if (staged.digest !== digest) throw invalid(`the image archive is damaged: ${path} has the digest ${staged.digest}`);
    return staged;
  }
}

/** Attestations ride along in indexes as manifests of an unknown platform. */
function isImage({ platform }: Descriptor): boolean {
  return platform?.os !== 'unknown';
}

function nameOf({ annotations }: Descriptor): string | null {
  const full = annotations?.['io.containerd.image.name'];
  const short = annotations?.['org.opencontainers.image.ref.name'];
  // The specification's own name is a bare tag as often as a whole reference; a bare tag names no repository.
  const text = full || (short && /[:/]/.test(short) ? short : null);
  if (!text) return null;
  try {
    const reference = parseReference(text);
    return reference.digest === null ? canonicalReference(withDefaultTag(reference)) : null;
  } catch (cause) {
    if (cause instanceof EngineError)
      throw invalid(`index.json of the image archive has the name ${JSON.stringify(text)}: ${cause.message}`, { cause });
    throw cause;
  }
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}
