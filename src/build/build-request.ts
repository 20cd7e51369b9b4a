/** What is asked of a build. Names, platforms and numbers are parsed; whether they fit the Dockerfile is found out by the builder. */
import type { Platform } from '../oci/platform.ts';

export interface BuildRequest {
  /** Names the build for cancelling and the history; made by the client or the API. */
  readonly id: string;
  /** Path of the Dockerfile in its context; null: `Dockerfile`, then `dockerfile`. Not used when the client hands over its text. */
  readonly dockerfilePath: string | null;
  readonly context: ContextLocation;
  /** Names as written, `name` or `name::os/arch`. */
  readonly namedContexts: ReadonlyMap<string, ContextLocation>;
  readonly target: string | null;
  /** Empty: this machine's. */
  readonly platforms: readonly Platform[];
  readonly buildArguments: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  /** Stage names, lower-case; `all`. */
  readonly noCache: readonly string[] | 'all';
  /** Ask the registry for base images even when they are here. */
  readonly pull: boolean;
  readonly run: RunSettings;
  /** `network.host`, `security.insecure`, `device`, `device=NAME`; what a client without entitlements (classic) may always do is the API's to add. */
  readonly entitlements: ReadonlySet<string>;
  readonly outputs: readonly OutputRequest[];
  readonly cacheFrom: readonly CacheLocation[];
  readonly cacheTo: readonly CacheLocation[];
  readonly provenance: 'min' | 'max' | null;
  readonly sbom: boolean;
  /** One layer above the base. */
  readonly squash: boolean;
  /** Seconds since 1970; null: that of the base image, 0 on scratch. A build argument SOURCE_DATE_EPOCH wins. */
  readonly epoch: number | 'context' | 'now' | null;
  readonly explain: boolean;
  /** Keep what was there before the step that failed as an image, for a shell. */
  readonly keepFailed: boolean;
  /** Built twice without the cache: `BuildOutcome.answer` says whether both are the same, else the first file that differs and the step that made it. */
  readonly verify: boolean;
  /** Nothing is built: the build checks, the stages and arguments. */
  readonly call: 'build' | 'check' | 'outline' | 'targets';
}

export type ContextLocation =
  /** Handed over by the client under this name (`BuildClient.context`). */
  | { readonly kind: 'client'; readonly name: string }
  | { readonly kind: 'empty' }
  /** `https://h/p.git#ref:subdir` and the other forms of dockerfile.md section 3. */
  | { readonly kind: 'git'; readonly url: string }
  /** An archive, or a Dockerfile. */
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'image'; readonly reference: string }
  /** An image in an OCI layout that the client hands over under this name; `reference`: `[:TAG][@DIGEST]`, empty: its only image. */
  | { readonly kind: 'oci-layout'; readonly name: string; readonly reference: string };

/** For every RUN. Sizes in bytes. */
export interface RunSettings {
  readonly network: 'default' | 'none' | 'host';
  /** Name of one of the daemon's networks that RUNs join instead of the default bridge; null: none. */
  readonly networkName: string | null;
  /** `name:address`, `name:host-gateway` */
  readonly extraHosts: readonly string[];
  readonly hostname: string | null;
  readonly shmSizeBytes: number | null;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string | null;
  readonly memoryBytes: number | null;
  /** Memory and swap together; -1: unlimited. */
  readonly memorySwapBytes: number | null;
  readonly cpuShares: number | null;
  readonly cpuPeriod: number | null;
  readonly cpuQuota: number | null;
  readonly cpus: string | null;
  readonly memoryNodes: string | null;
  /** GPUs that every RUN gets, beside what it asks for itself. */
  readonly gpus: readonly GpuRequest[];
}

/** In Docker's terms, as `--gpus` of `run`: which of them a step gets is decided when it starts. */
export interface GpuRequest {
  /** `nvidia`, `amd`, `intel`; '': whichever fits the capabilities. */
  readonly driver: string;
  /** -1: all; 0 with `ids`. */
  readonly count: number;
  /** Indexes, UUIDs, parts. */
  readonly ids: readonly string[];
  /** An OR list of AND lists. */
  readonly capabilities: readonly (readonly string[])[];
  readonly options: ReadonlyMap<string, string>;
}

export interface OutputRequest {
  /** `image` is the image store. */
  readonly type: 'image' | 'oci' | 'docker' | 'tar' | 'local';
  /** Canonical references, tags included. */
  readonly names: readonly string[];
  readonly push: boolean;
  readonly compression: LayerCompression;
  /** `annotation.K`, `annotation-index.K`, … → value, as buildx writes the keys after `annotation`. */
  readonly annotations: ReadonlyMap<string, string>;
  /** `tar`, `oci`, `docker`, `local`: which of the client's outputs the bytes go to (`BuildClient.output`). */
  readonly clientOutput: number;
  /** Of `oci`: a directory, not a tar; the client unpacks it. */
  readonly unpacked: boolean;
  /** Of `local` and `tar`: a folder for each platform. Null: when there are several. */
  readonly platformSplit: boolean | null;
}

export interface LayerCompression {
  /** Null: base layers as they are, new ones plain. */
  readonly kind: 'gzip' | 'zstd' | 'uncompressed' | null;
  readonly level: number | null;
  /** Base layers too. */
  readonly force: boolean;
}

export interface CacheLocation {
  readonly type: 'registry' | 'local' | 'inline';
  /** Of `registry`. */
  readonly reference: string | null;
  /** Of `local`: which of the client's outputs or contexts holds it. */
  readonly client: string | null;
  readonly mode: 'min' | 'max';
  /** With the content of cache mounts. */
  readonly mounts: boolean;
  readonly ignoreErrors: boolean;
}
