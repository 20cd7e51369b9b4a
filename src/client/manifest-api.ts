/** Beyond Docker's API: manifests of registries, through the daemon (docs/images.md). */
import { type ApiClient, pathName } from './api-client.ts';
import { encodeCredentials } from './registry-auth.ts';
import type { RegistryCredentials } from './types.ts';

export interface ManifestDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface RemoteManifest {
  readonly Descriptor: ManifestDescriptor;
  /** In base64, byte for byte. */
  readonly Raw: string;
  /** Of an image; empty for an index. */
  readonly Platforms: readonly ManifestPlatform[];
}

export interface ManifestPlatform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly 'os.version'?: string;
  readonly 'os.features'?: readonly string[];
}

export class ManifestApi {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  get(reference: string, credentials: RegistryCredentials): Promise<RemoteManifest> {
    return this.#client.json('GET', `${of(reference)}/manifest`, { headers: auth(credentials) });
  }

  put(reference: string, mediaType: string, raw: string, credentials: RegistryCredentials): Promise<ManifestDescriptor> {
    return this.#client.json('PUT', `${of(reference)}/manifest`, { headers: auth(credentials), json: { MediaType: mediaType, Raw: raw } });
  }

  /** `source`: of the same registry, by digest. */
  bring(source: string, target: string, credentials: RegistryCredentials): Promise<ManifestDescriptor> {
    return this.#client.json('POST', `${of(target)}/bring`, { headers: auth(credentials), query: { from: source } });
  }
}

function of(reference: string): string {
  return `/distribution/${pathName(reference)}`;
}

function auth(credentials: RegistryCredentials): Record<string, string> {
  return { 'X-Registry-Auth': encodeCredentials(credentials) };
}
