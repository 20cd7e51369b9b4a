/**
 * Where images are copied from and to: a repository of a registry, or a directory in the form of an OCI image layout. A copy streams: bytes of a blob go from the one to the other without
 * being kept between. Whoever takes them in checks their digest before they count.
 */
import type { Digest } from '../../base/brand.ts';
import type { RepositoryName } from '../../distribution/registry-client.ts';
import type { Descriptor } from '../../oci/manifest.ts';

export interface FetchedDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export interface ImageSource {
  /** For messages: `docker.io/library/busybox`, `oci:/srv/images`. */
  readonly name: string;
  /** Null: no registry. Blobs are mounted, not copied, between repositories of one registry. */
  readonly repository: RepositoryName | null;
  /** By tag or digest; null: the one image that there is (layouts). `not-found` names what there is instead. */
  fetch(reference: string | null, signal: AbortSignal): Promise<FetchedDocument>;
  /** From `offsetBytes` on, to the end of it. */
  open(blob: Descriptor, offsetBytes: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  tags(signal: AbortSignal): AsyncIterable<string>;
  referrers(digest: Digest, signal: AbortSignal): Promise<readonly Descriptor[]>;
}

export type BlobOutcome = 'copied' | 'mounted' | 'exists';

export interface BlobCopy {
  readonly blob: Descriptor;
  open(offsetBytes: number): AsyncIterable<Uint8Array>;
  readonly from: RepositoryName | null;
  onProgress(sentBytes: number): void;
}

export interface ImageDestination {
  readonly name: string;
  readonly repository: RepositoryName | null;
  /** It has this manifest, so everything that it needs. */
  holds(manifest: Descriptor, signal: AbortSignal): Promise<boolean>;
  putBlob(copy: BlobCopy, signal: AbortSignal): Promise<BlobOutcome>;
  /** What it names is there already. Null tag: by its digest only. */
  putManifest(document: FetchedDocument, tag: string | null, signal: AbortSignal): Promise<void>;
}
