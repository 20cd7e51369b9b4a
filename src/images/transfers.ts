/** Images between this machine and registries: what the API may ask for. Credentials are those of the client that asks; nothing here keeps or logs them. */
import type { RegistryCredentials, RegistrySettings, SearchOptions, SearchResult } from '../distribution/registry-client.ts';
import type { Descriptor } from '../oci/manifest.ts';
import type { Platform } from '../oci/platform.ts';
import type { ImageProgress } from './catalogue.ts';
import type { PullRequest } from './pull.ts';
import type { PushRequest } from './push.ts';

export type { PullRequest } from './pull.ts';
export type { PushRequest } from './push.ts';
export type { RegistryCredentials, SearchOptions, SearchResult };

export interface Transfers {
  /** Rejects before the first report when the registry has no such image. Cancelled by the signal, unless another pull wants the same layers. */
  pull(request: PullRequest, report: (progress: ImageProgress) => void, signal: AbortSignal): Promise<void>;
  push(request: PushRequest, report: (progress: ImageProgress) => void, signal: AbortSignal): Promise<void>;
  /** `unauthorized` when the registry refuses them. `server`: as clients write it, `https://index.docker.io/v1/` or `localhost:5000`. */
  logIn(server: string, credentials: RegistryCredentials, signal: AbortSignal): Promise<{ readonly identityToken: string }>;
  search(term: string, options: SearchOptions): Promise<readonly SearchResult[]>;
  describe(reference: string, credentials: RegistryCredentials | null, signal: AbortSignal): Promise<RemoteDescription>;
  /** From the next request on. */
  configure(settings: TransferSettings): void;
}

export interface RemoteDescription {
  readonly descriptor: Descriptor;
  readonly platforms: readonly Platform[];
}

export interface TransferSettings {
  readonly settings: RegistrySettings;
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
}
