/** A registry in memory behind the client's contract: what it serves can be changed, cut and counted. */

import type { Digest } from '../../base/brand.ts';
import { notFound } from '../../base/errors.ts';
import type { BlobUpload, FetchedManifest, RegistryClient, Repository, RepositoryName } from '../../distribution/registry-client.ts';
import { RegistryError } from '../../distribution/registry-error.ts';
import { digestOf } from '../../oci/digest.ts';
import { type Descriptor, mediaTypes } from '../../oci/manifest.ts';
import type { Blob, BuiltImage, LayoutBuilder } from '../fixtures/archives.ts';

export interface ServedManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export class FakeRegistry {
  readonly blobs = new Map<Digest, Buffer>();
  /** `path:tag` and `path@digest` */
  readonly manifests = new Map<string, ServedManifest>();
  /** Bytes that were sent, by blob. */
  readonly served = new Map<Digest, number>();
  /** Every request in order: `manifest team/a latest`, `blob sha256:… 0`, `upload …`. */
  readonly requests: string[] = [];
  /** Asked before each piece of a blob is sent; throws to cut it. */
  onPiece: (digest: Digest, sent: number, attempt: number) => void | Promise<void> = () => {};
  /** What is sent instead of a blob; `attempt` counts from 1. */
  serve: (digest: Digest, bytes: Buffer, attempt: number) => Buffer = (_digest, bytes) => bytes;
  pieceBytes = 16 * 1024;
  /** Path of a repository → the ones it may mount from. */
  readonly mountable = new Set<string>();
  readonly #attempts = new Map<Digest, number>();

  /** Takes what a layout has; `target` is named `path:tag`. */
  add(path: string, tag: string, layout: LayoutBuilder, target: Blob): void {
    for (const [digest, bytes] of layout.blobs) {
      this.blobs.set(digest, bytes);
      this.manifests.set(`${path}@${digest}`, { mediaType: mediaTypeOf(bytes), bytes });
    }
    const bytes = layout.blobs.get(target.digest);
    if (bytes !== undefined) this.manifests.set(`${path}:${tag}`, { mediaType: target.mediaType, bytes });
  }

  addImage(path: string, tag: string, layout: LayoutBuilder, image: BuiltImage, layerType?: string): Blob {
    const target = layout.image(image, layerType);
    this.add(path, tag, layout, target);
    return target;
  }

  client(): Pick<RegistryClient, 'repository'> {
    return { repository: (name) => this.repository(name) };
  }

  repository(name: RepositoryName): Repository {
    const unbuilt = async (): Promise<never> => {
      throw new Error('the fake registry has no such verb');
    };
    return {
      name,
      maxAttempts: 5,
      manifest: (reference) => this.#manifest(name, reference),
      describe: unbuilt,
      blob: async ({ digest }, offsetBytes) => ({ startsAt: offsetBytes, bytes: this.#pieces(digest, offsetBytes) }),
      hasBlob: async (digest) => this.blobs.has(digest),
      uploadBlob: (upload) => this.#upload(upload),
      putManifest: async (reference, mediaType, bytes) => {
        const digest = digestOf(bytes);
        this.requests.push(`put ${name.path} ${reference}`);
        this.manifests.set(`${name.path}@${digest}`, { mediaType, bytes: Buffer.from(bytes) });
        if (!reference.startsWith('sha256:')) this.manifests.set(`${name.path}:${reference}`, { mediaType, bytes: Buffer.from(bytes) });
        return { digest };
      },
      tags: () => this.#tags(name.path),
      referrers: unbuilt,
      deleteManifest: unbuilt,
      deleteBlob: unbuilt,
    };
  }

  async *#tags(path: string): AsyncGenerator<string> {
    for (const key of this.manifests.keys()) if (key.startsWith(`${path}:`)) yield key.slice(path.length + 1);
  }

  async #manifest({ domain, path }: RepositoryName, reference: string): Promise<FetchedManifest> {
    this.requests.push(`manifest ${path} ${reference}`);
    const found = this.manifests.get(`${path}${reference.startsWith('sha256:') ? '@' : ':'}${reference}`);
    if (found === undefined) throw notFound(`manifest for ${domain}/${path}:${reference} not found: manifest unknown: manifest unknown`);
    const descriptor: Descriptor = { mediaType: found.mediaType, digest: digestOf(found.bytes), size: found.bytes.length };
    return { descriptor, bytes: found.bytes, from: domain };
  }

  async *#pieces(digest: Digest, offsetBytes: number): AsyncGenerator<Uint8Array> {
    this.requests.push(`blob ${digest} ${offsetBytes}`);
    const attempt = (this.#attempts.get(digest) ?? 0) + 1;
    this.#attempts.set(digest, attempt);
    const blob = this.blobs.get(digest);
    if (blob === undefined) throw new RegistryError('not-found', 'blob unknown: blob unknown', failure(404, false));
    const bytes = this.serve(digest, blob, attempt);
    for (let at = offsetBytes; at < bytes.length; at += this.pieceBytes) {
      await this.onPiece(digest, at, attempt);
      const piece = bytes.subarray(at, at + this.pieceBytes);
      this.served.set(digest, (this.served.get(digest) ?? 0) + piece.length);
      yield piece;
    }
  }

  async #upload({ digest, open, mountFrom = [], onProgress }: BlobUpload) {
    this.requests.push(`upload ${digest} from ${mountFrom.join(' ')}`);
    if (this.blobs.has(digest)) return { kind: 'exists' } as const;
    const from = mountFrom.find((path) => this.mountable.has(path));
    if (from !== undefined) return { kind: 'mounted', from } as const;
    const parts: Uint8Array[] = [];
    for await (const part of open(0)) parts.push(part);
    const bytes = Buffer.concat(parts);
    onProgress?.(bytes.length);
    if (digestOf(bytes) !== digest) throw new RegistryError('invalid', 'digest invalid', failure(400, false));
    this.blobs.set(digest, bytes);
    return { kind: 'uploaded' } as const;
  }
}

/** A connection that broke: worth another attempt. */
export function brokenConnection(): RegistryError {
  return new RegistryError('unavailable', 'the connection was cut', failure(null, true));
}

export function unauthorized(): RegistryError {
  return new RegistryError('unauthorized', 'unauthorized: authentication required', failure(401, false));
}

function failure(status: number | null, retryable: boolean) {
  return { host: 'registry.test', status, registryCode: null, retryable };
}

function mediaTypeOf(bytes: Buffer): string {
  try {
    const { mediaType } = JSON.parse(bytes.toString()) as { mediaType?: string };
    return mediaType ?? mediaTypes.ociManifest;
  } catch {
    return 'application/octet-stream';
  }
}
