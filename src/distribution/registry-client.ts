/**
 * The contract of the registry client: one registry API (OCI distribution v1.1, and what Docker's registries do besides) behind verbs of a repository.
 *
 * Where a repository is: `endpoints.ts` turns its name into places to ask, mirrors first, the registry itself last. Reading verbs go down that list until one answers;
 * writing verbs only ever talk to the registry itself. Each place is asked over TLS unless it is declared insecure (or is loopback, as in Docker).
 *
 * Who asks: credentials belong to the registry host they were given for. They are sent to that host, and to a token realm that its challenge names, if the realm is on the
 * same host or allowed for it (SECURITY.md row 28); never to a mirror, never after a redirect to another origin.
 *
 * Nothing that comes back is trusted: manifests are read under a limit and checked against the digest they were asked by; blobs are handed on as they come, and whoever
 * writes them down checks size and digest before anything is visible.
 *
 * Errors are `RegistryError`s (`registry-error.ts`): code, HTTP status, the registry's own error code, and which host said it.
 */
import type { Digest } from '../base/brand.ts';
import type { Descriptor, ImageIndex } from '../oci/manifest.ts';

export interface RegistryClient {
  /** `credentials`: for the registry of this name; null asks as anybody. */
  repository(name: RepositoryName, credentials: RegistryCredentials | null): Repository;
  /** Checks credentials against a registry. `unauthorized` when it refuses them. The identity token is empty where the registry gives none. */
  login(domain: string, credentials: RegistryCredentials, signal?: AbortSignal): Promise<{ readonly identityToken: string }>;
  /** Docker's search: `[host/]term`. */
  search(term: string, options: SearchOptions): Promise<readonly SearchResult[]>;
  /** Registry names (`host[:port]` paths ignored), a page at a time; `_catalog` is no part of the specification, so it may be refused. */
  repositoriesOf(domain: string, credentials: RegistryCredentials | null, signal?: AbortSignal): AsyncIterable<string>;
  /** From the next request on. */
  configure(settings: RegistrySettings): void;
  /** Idle connections are closed; what runs goes on. */
  close(): void;
}

/** `domain` and `path` of an `ImageReference`. */
export interface RepositoryName {
  /** `docker.io`, `localhost:5000` */
  readonly domain: string;
  /** `library/busybox` */
  readonly path: string;
}

export type RegistryCredentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** A refresh token (OAuth 2), as `docker login` stores it where a registry gives one. */
  | { readonly kind: 'identity-token'; readonly token: string }
  /** A bearer token, sent as it is. */
  | { readonly kind: 'registry-token'; readonly token: string };

export interface Repository {
  readonly name: RepositoryName;
  /** Attempts in a row without progress before a transfer is given up (`RegistrySettings.maxAttempts`). */
  readonly maxAttempts: number;
  /** By tag or digest, with the bytes as they came. `not-found` in Docker's words: `manifest for R:T not found: manifest unknown: …`. */
  manifest(reference: string, signal?: AbortSignal): Promise<FetchedManifest>;
  /** Only what it is (HEAD, GET where that is not answered); null when there is none. */
  describe(reference: string, signal?: AbortSignal): Promise<Descriptor | null>;
  /**
   * One attempt at the bytes of a blob from `offsetBytes` on; `download-blob.ts` makes whole downloads of it. The answer says where it really starts: 0 when the
   * registry does not serve ranges. Ends with an error when the connection is cut before the announced end.
   */
  blob(descriptor: BlobDescriptor, offsetBytes: number, signal?: AbortSignal): Promise<BlobBody>;
  hasBlob(digest: Digest, signal?: AbortSignal): Promise<boolean>;
  /** Skips a blob that is there, mounts it where a source is named and allowed, else uploads it (retried, resumed by chunks where the registry can). */
  uploadBlob(upload: BlobUpload, signal?: AbortSignal): Promise<UploadOutcome>;
  /** `reference`: a tag, or the digest of the bytes. */
  putManifest(reference: string, mediaType: string, bytes: Uint8Array, signal?: AbortSignal): Promise<{ readonly digest: Digest }>;
  tags(signal?: AbortSignal): AsyncIterable<string>;
  /** By the referrers API, or the tag scheme where a registry has none. */
  referrers(digest: Digest, artifactType: string | null, signal?: AbortSignal): Promise<ImageIndex>;
  /** A digest deletes the manifest, a tag only the tag (where the registry can). */
  deleteManifest(reference: string, signal?: AbortSignal): Promise<void>;
  deleteBlob(digest: Digest, signal?: AbortSignal): Promise<void>;
}

export interface FetchedManifest {
  /** Its digest is that of the bytes; the media type is what the registry announced, checked against the document. */
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  /** Host that it came from, for messages: a mirror or the registry. */
  readonly from: string;
}

export interface BlobDescriptor {
  readonly digest: Digest;
  readonly size: number;
  /** Foreign layers only (`urls` of a descriptor, SECURITY.md row 28). */
  readonly mediaType?: string;
  readonly urls?: readonly string[];
}

export interface BlobBody {
  readonly startsAt: number;
  /** Pieces are the reader's to keep; several may share one buffer, so it must not be transferred to another thread. Reading not to the end ends the connection. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface BlobUpload {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Opened again for a retry. */
  open(offsetBytes: number): AsyncIterable<Uint8Array>;
  /** Paths of repositories on the same registry that are known to have it, best first. */
  readonly mountFrom?: readonly string[];
  /** May go back, when an upload starts again. */
  onProgress?(sentBytes: number): void;
}

export type UploadOutcome =
  | { readonly kind: 'exists' }
  | { readonly kind: 'uploaded' }
  | { readonly kind: 'mounted'; readonly from: string };

export interface SearchOptions {
  readonly credentials: RegistryCredentials | null;
  readonly limit: number;
  readonly official: boolean | null;
  readonly automated: boolean | null;
  readonly minStars: number;
  readonly signal?: AbortSignal;
}

export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly starCount: number;
  readonly isOfficial: boolean;
}

/** What an administrator decides of registries; dockerd's keys where it has one. */
export interface RegistrySettings {
  /** `registry-mirrors`: of docker.io, in order. URLs. */
  readonly mirrors: readonly string[];
  /** `registry-prefix-mirrors` (ours): for images whose `domain/path` has this prefix (whole components), the longest first. URLs with an optional path to put in front. */
  readonly prefixMirrors: readonly { readonly prefix: string; readonly urls: readonly string[] }[];
  /** `insecure-registries`: `host[:port]` or CIDR. HTTP and unverified certificates are tried there. Loopback always is one. */
  readonly insecure: readonly string[];
  /** Directories of `<host[:port]>/{*.crt,*.cert,*.key}`, first found wins: `/etc/gantry/certs.d`, `/etc/docker/certs.d`. */
  readonly certificateDirectories: readonly string[];
  readonly proxies: { readonly http: string | null; readonly https: string | null; readonly noProxy: readonly string[] };
  /** Token realms on another host than the registry that may see its credentials, by registry host: `auth.docker.io` for docker.io is built in. */
  readonly allowedRealms: Readonly<Record<string, readonly string[]>>;
  /** `max-download-attempts` */
  readonly maxAttempts: number;
  /** No byte for so long: the attempt failed. */
  readonly stallMs: number;
}

export const defaultRegistrySettings: RegistrySettings = {
  mirrors: [],
  prefixMirrors: [],
  insecure: [],
  certificateDirectories: ['/etc/gantry/certs.d', '/etc/docker/certs.d'],
  proxies: { http: null, https: null, noProxy: [] },
  allowedRealms: {},
  maxAttempts: 5,
  stallMs: 60_000,
};
