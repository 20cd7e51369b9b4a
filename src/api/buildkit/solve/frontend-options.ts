/**
 * What a BuildKit client asks for (`FrontendOpt` of dockerfile.v0, exporters, caches) as a build request, and where on the client its files are. Keys that would change what is built are
 * mapped or refused by name; others are ignored, as BuildKit does.
 */
import { posix } from 'node:path';
import { invalid, notImplemented } from '../../../base/errors.ts';
import type { BuildRequest, ContextLocation, RunSettings } from '../../../build/build-request.ts';
import { parsePlatform } from '../../../oci/platform.ts';
import type { DockerfilePlace } from '../session/client-dockerfile.ts';
import { type ClientContext, mainContext } from '../session/session-client.ts';
import { cacheExportOf, cacheImportOf, type Entry, layoutsOf, type OutputForm, outputOf, takesOutput } from './exporters.ts';
import { type Attributes, flagAttribute, listAttribute, numberAttribute, withPrefix } from './solve-attributes.ts';

export interface SolveSource {
  readonly ref: string;
  readonly frontend: string;
  readonly options: Attributes;
  readonly exporters: readonly Entry[];
  readonly cacheImports: readonly Entry[];
  readonly cacheExports: readonly Entry[];
  readonly entitlements: readonly string[];
  /** Names of results of other builds that this one stands on, and the images that they are. */
  readonly inputs: ReadonlyMap<string, string>;
}

export interface SolvePlan {
  readonly request: BuildRequest;
  /** Null: the Dockerfile is in the build context. */
  readonly dockerfile: DockerfilePlace | null;
  readonly contexts: ReadonlyMap<string, ClientContext>;
  readonly outputs: readonly OutputForm[];
}

export function planSolve(source: SolveSource): SolvePlan {
  const { options } = source;
  requireOurFrontend(source);
  requireKnownCapabilities(options);
  const contexts = new Map<string, ClientContext>();
  const context = mainLocation(options, contexts);
  const path = options.get('filename') || null;
  const call = callOf(options);
  const cacheImports = unique([...source.cacheImports, ...oldCacheImports(options)]);
  for (const [name, digest] of layoutsOf(cacheImports)) contexts.set(name, { kind: 'layout', store: name, digest });
  return {
    request: {
      id: source.ref,
      dockerfilePath: path,
      context,
      namedContexts: namedContexts(source, contexts),
      target: options.get('target') || null,
      platforms: listAttribute(options, 'platform').map(parsePlatform),
      buildArguments: withPrefix(options, 'build-arg:'),
      labels: withPrefix(options, 'label:'),
      noCache: noCache(options),
      pull: options.get('image-resolve-mode') === 'pull',
      run: runSettings(options),
      entitlements: new Set(source.entitlements),
      outputs: call === 'build' ? source.exporters.map(outputOf) : [],
      cacheFrom: cacheImports.map(cacheImportOf),
      cacheTo: source.cacheExports.map(cacheExportOf),
      ...attestations(options),
      squash: false,
      epoch: null,
      explain: false,
      keepFailed: false,
      verify: false,
      call,
    },
    dockerfile: dockerfilePlace(options, path),
    contexts,
    outputs: source.exporters.map(takesOutput),
  };
}

/** `# syntax=` and BUILDKIT_SYNTAX name an image that reads the Dockerfile; here it is always our own front, which is what `docker/dockerfile` does. */
function requireOurFrontend({ frontend, options }: SolveSource): void {
  if (frontend === 'dockerfile.v0') return;
  if (frontend !== 'gateway.v0') throw notImplemented(`the frontend ${JSON.stringify(frontend)} is not supported: only dockerfile.v0 is`);
  const image = options.get('source') ?? '';
  if (!/^(docker\.io\/)?docker\/dockerfile(-upstream)?(:|@|$)/.test(image))
    throw notImplemented(
      `the frontend image ${JSON.stringify(image)} is not supported: Dockerfiles are read by the daemon itself (docker/dockerfile)`,
    );
}

const capabilities = new Set(['moby.buildkit.frontend.inputs', 'moby.buildkit.frontend.subrequests', 'moby.buildkit.frontend.contexts']);

function requireKnownCapabilities(options: Attributes): void {
  const unknown = listAttribute(options, 'frontend.caps').find((name) => !name.endsWith('+forward') && !capabilities.has(name));
  if (unknown !== undefined) throw notImplemented(`unsupported frontend capability ${unknown}`);
}

const calls: Readonly<Record<string, BuildRequest['call']>> = {
  'frontend.lint': 'check',
  'frontend.outline': 'outline',
  'frontend.targets': 'targets',
};

function callOf(options: Attributes): BuildRequest['call'] {
  const id = options.get('requestid') ?? '';
  if (id === '') return 'build';
  const call = Object.hasOwn(calls, id) ? calls[id] : undefined;
  if (call === undefined) throw notImplemented(`unsupported request ${JSON.stringify(id)}: use ${Object.keys(calls).join(', ')}`);
  return call;
}

function mainLocation(options: Attributes, contexts: Map<string, ClientContext>): ContextLocation {
  const address = options.get('context') ?? '';
  if (address !== '') return locationOf(mainContext, address, options, contexts);
  return clientFolder(mainContext, options.get('contextkey') || mainContext, options, contexts);
}

function dockerfilePlace(options: Attributes, path: string | null): DockerfilePlace | null {
  const folder = options.get('dockerfilekey') || ((options.get('context') ?? '') === '' ? 'dockerfile' : null);
  return folder === null ? null : { folder, path: posix.normalize(path ?? 'Dockerfile') };
}

function namedContexts({ options, inputs }: SolveSource, contexts: Map<string, ClientContext>): ReadonlyMap<string, ContextLocation> {
  const named = new Map<string, ContextLocation>();
  for (const [name, address] of withPrefix(options, 'context:')) {
    const input = address.startsWith('input:') ? inputs.get(address.slice('input:'.length)) : undefined;
    named.set(name, input === undefined ? locationOf(`context:${name}`, address, options, contexts) : { kind: 'image', reference: input });
  }
  return named;
}

function locationOf(name: string, address: string, options: Attributes, contexts: Map<string, ClientContext>): ContextLocation {
  const [, scheme = '', rest = ''] = /^([a-z-]+):(.*)$/s.exec(address) ?? [];
  if (scheme === 'local') return clientFolder(name, rest, options, contexts);
  if (scheme === 'docker-image') return { kind: 'image', reference: rest.replace(/^\/\//, '') };
  if (scheme === 'oci-layout') return clientLayout(name, rest, contexts);
  if (scheme === 'input' || scheme === 'target')
    throw notImplemented(
      `the build context ${JSON.stringify(address)} is not supported over a BuildKit session: use a folder, an image, git or http`,
    );
  const upload = /^http:\/\/buildkit-session(\/.*)$/.exec(address);
  if (upload !== null) {
    contexts.set(name, { kind: 'upload', host: 'buildkit-session', path: upload[1] ?? '' });
    return { kind: 'client', name };
  }
  if (isGit(address)) return { kind: 'git', url: address };
  if (/^https?:\/\//.test(address)) return { kind: 'http', url: address };
  throw invalid(`invalid build context ${JSON.stringify(address)}`);
}

/** `oci-layout://STORE@DIGEST`: the client has found the digest itself. */
function clientLayout(name: string, address: string, contexts: Map<string, ClientContext>): ContextLocation {
  const [, store, digest] = /^\/\/([^@:]+)(?::[^@]*)?@(.+)$/.exec(address) ?? [];
  if (store === undefined || digest === undefined)
    throw invalid(`invalid build context ${JSON.stringify(`oci-layout:${address}`)}: it has no digest`);
  contexts.set(name, { kind: 'layout', store: `oci:${store}`, digest });
  return { kind: 'oci-layout', name, reference: `@${digest}` };
}

/** Docker's rules: what ends in `.git`, or has a scheme of git, is a repository. */
function isGit(address: string): boolean {
  if (/^https?:\/\//.test(address)) return /\.git(\?[^#]*)?(#.*)?$/.test(address);
  return /^(git:\/\/|ssh:\/\/|git@|github\.com\/)/.test(address);
}

function clientFolder(name: string, folder: string, options: Attributes, contexts: Map<string, ClientContext>): ContextLocation {
  contexts.set(name, { kind: 'folder', folder, session: options.get(`local-sessionid:${folder}`) || null });
  return { kind: 'client', name };
}

function noCache(options: Attributes): BuildRequest['noCache'] {
  const stages = options.get('no-cache');
  if (stages === undefined) return [];
  return stages === '' ? 'all' : listAttribute(options, 'no-cache').map((name) => name.toLowerCase());
}

function runSettings(options: Attributes): RunSettings {
  return {
    network: networkOf(options.get('force-network-mode') ?? ''),
    networkName: null,
    extraHosts: listAttribute(options, 'add-hosts').map(extraHost),
    hostname: options.get('hostname') || null,
    shmSizeBytes: numberAttribute(options, 'shm-size'),
    ulimits: listAttribute(options, 'ulimit').map(ulimitOf),
    cgroupParent: options.get('cgroup-parent') || null,
    memoryBytes: null,
    memorySwapBytes: null,
    cpuShares: null,
    cpuPeriod: null,
    cpuQuota: null,
    cpus: null,
    memoryNodes: null,
    gpus: [],
  };
}

function networkOf(mode: string): RunSettings['network'] {
  if (mode === '' || mode === 'default' || mode === 'sandbox') return 'default';
  if (mode === 'none' || mode === 'host') return mode;
  throw invalid(`invalid network mode ${JSON.stringify(mode)}: use default, none or host`);
}

function extraHost(text: string): string {
  const [, name, address] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || address === undefined)
    throw invalid(`invalid key-value pair ${JSON.stringify(text)} in add-hosts: NAME=ADDRESS`);
  return `${name}:${address.replace(/^\[(.*)\]$/, '$1')}`;
}

function ulimitOf(text: string): RunSettings['ulimits'][number] {
  const [, name, soft, hard] = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
  if (name === undefined || soft === undefined) throw invalid(`invalid ulimit ${JSON.stringify(text)}: NAME=SOFT:HARD`);
  return { name, soft: Number(soft), hard: Number(hard ?? soft) };
}

/** `attest:provenance=mode=max`, `attest:sbom=`; `disabled=true` takes back. */
function attestations(options: Attributes): Pick<BuildRequest, 'provenance' | 'sbom'> {
  const asked = withPrefix(options, 'attest:');
  const unknown = [...asked.keys()].find((name) => name !== 'provenance' && name !== 'sbom');
  if (unknown !== undefined) throw invalid(`unknown attestation type ${JSON.stringify(unknown)}`);
  const settings = (name: string) =>
    new Map((asked.get(name) ?? '').split(',').map((pair) => [pair.split('=', 1)[0]?.trim() ?? '', pair.slice(pair.indexOf('=') + 1)]));
  // `inline-only` is what clients add by themselves: nobody asked for it, and images stay single manifests.
  const wants = (name: string) =>
    asked.has(name) && !flagAttribute(settings(name), 'disabled') && !flagAttribute(settings(name), 'inline-only');
  return {
    provenance: !wants('provenance') ? null : settings('provenance').get('mode') === 'max' ? 'max' : 'min',
    sbom: wants('sbom'),
  };
}

/** As older clients say it: `cache-imports` holds JSON, `cache-from` names. */
function oldCacheImports(options: Attributes): readonly Entry[] {
  const json = options.get('cache-imports');
  if (json === undefined || json === '') {
    return listAttribute(options, 'cache-from').map((reference) => ({ type: 'registry', attributes: new Map([['ref', reference]]) }));
  }
  try {
    const entries = JSON.parse(json) as readonly { readonly Type?: string; readonly Attrs?: Readonly<Record<string, string>> }[];
    return entries.map(({ Type, Attrs }) => ({ type: String(Type), attributes: new Map(Object.entries(Attrs ?? {})) }));
  } catch (cause) {
    throw invalid('cache-imports is no list of {"Type":"registry","Attrs":{"ref":"NAME"}}', { cause });
  }
}

function unique(entries: readonly Entry[]): readonly Entry[] {
  const keyOf = ({ type, attributes }: Entry) => JSON.stringify([type, [...attributes].sort()]);
  return [...new Map(entries.map((entry) => [keyOf(entry), entry])).values()];
}
