/** A repository in memory that counts what passes, and can be told to fail. */
import type { Digest } from '../../../base/brand.ts';
import { notFound } from '../../../base/errors.ts';
import type { RepositoryName } from '../../../distribution/registry-client.ts';
import { digestOf, isDigest } from '../../../oci/digest.ts';
import { type Descriptor, mediaTypes } from '../../../oci/manifest.ts';
import type { Platform } from '../../../oci/platform.ts';
import type { BlobCopy, BlobOutcome, FetchedDocument, ImageDestination, ImageSource } from '../image-place.ts';

export class MemoryPlace implements ImageSource, ImageDestination {
  readonly name = 'memory';
  readonly repository: RepositoryName | null = null;
  readonly blobs = new Map<Digest, Buffer>();
  readonly documents = new Map<Digest, FetchedDocument>();
  readonly tagged = new Map<string, Digest>();
  /** Digests, in the order in which they were opened or put. */
  readonly opened: Digest[] = [];
  readonly put: string[] = [];
  /** Instead of the bytes of this blob. */
  readonly damaged = new Map<Digest, Buffer>();

  addBlob(bytes: Buffer, mediaType: string = mediaTypes.ociLayerGzip): Descriptor {
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  addImage(layers: readonly Buffer[], more: Readonly<Record<string, unknown>> = {}): Descriptor {
    const config = this.addBlob(Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', ...more })), mediaTypes.ociConfig);
    const described = layers.map((layer) => this.addBlob(layer));
    return this.addDocument({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: described, ...more });
  }

  addIndex(entries: readonly (readonly [Descriptor, Platform])[]): Descriptor {
    const manifests = entries.map(([descriptor, platform]) => ({ ...descriptor, platform }));
    return this.addDocument({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
  }

  addDocument(document: { readonly mediaType: string } & Readonly<Record<string, unknown>>): Descriptor {
    const bytes = Buffer.from(JSON.stringify(document));
    const descriptor = { mediaType: document.mediaType, digest: digestOf(bytes), size: bytes.length };
    this.documents.set(descriptor.digest, { descriptor, bytes });
    return descriptor;
  }

  async fetch(reference: string | null): Promise<FetchedDocument> {
    const digest = reference !== null && isDigest(reference) ? reference : this.tagged.get(reference ?? 'latest');
    const found = digest && this.documents.get(digest);
    if (!found) throw notFound(`manifest ${reference} is not in memory`);
    return found;
  }

  async *open({ digest }: Descriptor, offsetBytes: number): AsyncGenerator<Uint8Array> {
    this.opened.push(digest);
    yield (this.damaged.get(digest) ?? this.blobs.get(digest) ?? Buffer.alloc(0)).subarray(offsetBytes);
  }

  async *tags() {
    yield* this.tagged.keys();
  }

  async referrers(digest: Digest): Promise<readonly Descriptor[]> {
    return [...this.documents.values()].flatMap(({ descriptor, bytes }) =>
      JSON.parse(bytes.toString()).subject?.digest === digest ? [descriptor] : [],
    );
  }

  async holds({ digest }: Descriptor): Promise<boolean> {
    return this.documents.has(digest);
  }

  async putBlob({ blob, open }: BlobCopy): Promise<BlobOutcome> {
    if (this.blobs.has(blob.digest)) return 'exists';
    const chunks: Uint8Array[] = [];
    for await (const chunk of open(0)) chunks.push(chunk);
    this.put.push(blob.digest);
    this.blobs.set(blob.digest, Buffer.concat(chunks));
    return 'copied';
  }

  async putManifest(document: FetchedDocument, tag: string | null): Promise<void> {
    this.put.push(tag ?? document.descriptor.digest);
    this.documents.set(document.descriptor.digest, document);
    if (tag !== null) this.tagged.set(tag, document.descriptor.digest);
  }
}
