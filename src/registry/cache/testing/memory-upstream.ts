/** Another registry, in memory: counts what it is asked for, and fails, stalls and lies when told to. */
import type { Digest } from '../../../base/brand.ts';
import type { RegistryClient, RegistryCredentials, Repository, RepositoryName } from '../../../distribution/registry-client.ts';
import { RegistryError } from '../../../distribution/registry-error.ts';
import { digestOf, isDigest } from '../../../oci/digest.ts';
import { type Descriptor, mediaTypes } from '../../../oci/manifest.ts';

interface Contents {
  readonly tags: Map<string, Digest>;
  readonly manifests: Map<Digest, { readonly mediaType: string; readonly bytes: Buffer }>;
  readonly blobs: Map<Digest, Buffer>;
}

export class MemoryUpstream {
  readonly repositories = new Map<string, Contents>();
  /** `GET manifest library/busybox:latest`, … in order. */
  readonly asked: string[] = [];
  readonly credentials: (RegistryCredentials | null)[] = [];
  /** Every request fails with this. */
  failure: RegistryError | null = null;
  /** Called before each piece of a blob: may wait, or throw. */
  beforePiece: (at: number) => Promise<void> = async () => {};
  pieceBytes = 1000;
  readonly damaged = new Map<Digest, Buffer>();

  push(path: string, tag: string, layers: readonly Buffer[]): { readonly manifest: Descriptor; readonly layers: readonly Descriptor[] } {
    const contents = this.contents(path);
    const config = this.#blob(contents, Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', tag })), mediaTypes.ociConfig);
    const described = layers.map((layer) => this.#blob(contents, layer, mediaTypes.ociLayerGzip));
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: described }));
    const digest = digestOf(bytes);
    contents.manifests.set(digest, { mediaType: mediaTypes.ociManifest, bytes });
    contents.tags.set(tag, digest);
    return { manifest: { mediaType: mediaTypes.ociManifest, digest, size: bytes.length }, layers: described };
  }

  contents(path: string): Contents {
    const found = this.repositories.get(path) ?? { tags: new Map(), manifests: new Map(), blobs: new Map() };
    this.repositories.set(path, found);
    return found;
  }

  get client(): RegistryClient {
    return {
      repository: (name: RepositoryName, credentials: RegistryCredentials | null) => this.#repository(name, credentials),
    } as Partial<RegistryClient> as RegistryClient;
  }

  #repository(name: RepositoryName, credentials: RegistryCredentials | null): Repository {
    this.credentials.push(credentials);
    const contents = this.contents(name.path);
    const found = (reference: string) => {
      const digest = isDigest(reference) ? reference : contents.tags.get(reference);
      const manifest = digest && contents.manifests.get(digest);
      return (
        manifest && { ...manifest, descriptor: { mediaType: manifest.mediaType, digest: digest as Digest, size: manifest.bytes.length } }
      );
    };
    const ask = (what: string) => {
      this.asked.push(what);
      if (this.failure) throw this.failure;
    };
    return {
      name,
      manifest: async (reference: string) => {
        ask(`GET manifest ${name.path}:${reference}`);
        const manifest = found(reference);
        if (!manifest) throw failed('not-found', `manifest for ${name.path}:${reference} not found: manifest unknown`, 404);
        return { ...manifest, from: 'memory' };
      },
      describe: async (reference: string) => {
        ask(`HEAD manifest ${name.path}:${reference}`);
        return found(reference)?.descriptor ?? null;
      },
      hasBlob: async (digest: Digest) => {
        ask(`HEAD blob ${name.path}`);
        return contents.blobs.has(digest) ?? false;
      },
      blob: async ({ digest }: { readonly digest: Digest }, offsetBytes: number) => {
        ask(`GET blob ${name.path} ${offsetBytes}`);
        const bytes = this.damaged.get(digest) ?? contents.blobs.get(digest);
        if (!bytes) throw failed('not-found', 'blob unknown', 404);
        return { startsAt: offsetBytes, bytes: this.#pieces(bytes, offsetBytes) };
      },
      tags: () => this.#tags(name, contents, ask),
      referrers: async () => {
        ask(`GET referrers ${name.path}`);
        return { kind: 'index', mediaType: mediaTypes.ociIndex, manifests: [], annotations: {} };
      },
    } as Partial<Repository> as Repository;
  }

  async *#tags(name: RepositoryName, contents: Contents, ask: (what: string) => void): AsyncGenerator<string> {
    ask(`GET tags ${name.path}`);
    if (contents.tags.size === 0) throw failed('not-found', `repository ${name.path} not found`, 404);
    yield* contents.tags.keys();
  }

  async *#pieces(bytes: Buffer, offsetBytes: number): AsyncGenerator<Uint8Array> {
    for (let at = offsetBytes; at < bytes.length; at += this.pieceBytes) {
      await this.beforePiece(at);
      yield bytes.subarray(at, at + this.pieceBytes);
    }
  }

  #blob({ blobs }: Contents, bytes: Buffer, mediaType: string): Descriptor {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }
}

export function failed(
  code: RegistryError['code'],
  message: string,
  status: number | null,
  more: { readonly retryable?: boolean; readonly retryAfterMs?: number } = {},
): RegistryError {
  return new RegistryError(code, message, { host: 'memory', status, registryCode: null, retryable: false, ...more });
}
