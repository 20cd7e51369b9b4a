/** The body of `POST /gantry/build` as a build request: what is absent has its default, what is there must be right. */
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type {
  BuildRequest,
  CacheLocation,
  ContextLocation,
  GpuRequest,
  LayerCompression,
  OutputRequest,
  RunSettings,
} from '../../build/build-request.ts';
import type { Platform } from '../../oci/platform.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { JsonFields, textOf } from './json-fields.ts';

const entitlements = ['network.host', 'security.insecure', 'device'];
const provenances = ['min', 'max'] as const;
const compressions = ['gzip', 'zstd', 'uncompressed'] as const;

export function readBuildRequest(body: unknown): BuildRequest {
  const fields = new JsonFields(body, '');
  const request: BuildRequest = {
    id: buildId(fields),
    dockerfilePath: dockerfilePath(fields),
    context: context(fields.any('context'), 'context'),
    namedContexts: fields.map('namedContexts', context),
    target: fields.textOrNull('target'),
    platforms: fields.list('platforms', platform),
    buildArguments: fields.textMap('buildArguments'),
    labels: fields.textMap('labels'),
    noCache: noCache(fields),
    pull: fields.flag('pull'),
    run: runSettings(fields.object('run')),
    entitlements: new Set(fields.list('entitlements', entitlement)),
    outputs: fields.list('outputs', output),
    cacheFrom: fields.list('cacheFrom', cache),
    cacheTo: fields.list('cacheTo', cache),
    provenance: fields.oneOfOr('provenance', provenances, null),
    sbom: fields.flag('sbom'),
    squash: fields.flag('squash'),
    epoch: epoch(fields),
    explain: fields.flag('explain'),
    keepFailed: fields.flag('keepFailed'),
    verify: fields.flag('verify'),
    call: fields.oneOfOr('call', ['build', 'check', 'outline', 'targets'], 'build'),
  };
  fields.end();
  return request;
}

function buildId(fields: JsonFields): string {
  const id = fields.textOrNull('id') ?? randomBytes(16).toString('hex');
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(id))
    throw fields.wrong('id', 'must be 1 to 128 letters, digits, dots, dashes and underscores');
  return id;
}

/** Inside the context. */
function dockerfilePath(fields: JsonFields): string | null {
  const text = fields.textOrNull('dockerfilePath');
  if (text === null || text === '') return null;
  const path = posix.join('.', text).replace(/^\/+/, '');
  if (path === '' || path === '.' || path === '..' || path.startsWith('../'))
    throw fields.wrong('dockerfilePath', 'must name a file in the context');
  return path;
}

function context(value: unknown, where: string): ContextLocation {
  const fields = new JsonFields(value, where);
  const location = contextLocation(fields);
  fields.end();
  return location;
}

function contextLocation(fields: JsonFields): ContextLocation {
  const kind = fields.oneOf('kind', ['client', 'empty', 'git', 'http', 'image', 'oci-layout']);
  switch (kind) {
    case 'client':
      return { kind, name: fields.text('name') };
    case 'empty':
      return { kind };
    case 'git':
    case 'http':
      return { kind, url: fields.text('url') };
    case 'image':
      return { kind, reference: fields.text('reference') };
    case 'oci-layout':
      return { kind, name: fields.text('name'), reference: fields.text('reference') };
  }
}

function platform(value: unknown, where: string): Platform {
  const fields = new JsonFields(value, where);
  const [os, architecture, variant] = [fields.text('os'), fields.text('architecture'), fields.textOrNull('variant')];
  fields.end();
  const read: Platform = { os, architecture, ...(variant === null || variant === '' ? {} : { variant }) };
  if (
    ![os, architecture, variant ?? 'v'].every((part) => /^[A-Za-z0-9_.-]+$/.test(part === '' ? 'v' : part)) ||
    os === '' ||
    architecture === ''
  ) {
    throw fields.wrong('os', 'and architecture must be names such as linux and amd64');
  }
  return read;
}

/** A list of stages, or `all`. */
function noCache(fields: JsonFields): BuildRequest['noCache'] {
  if (fields.any('noCache') === 'all') return 'all';
  return fields.texts('noCache').map((name) => name.toLowerCase());
}

function entitlement(value: unknown, where: string): string {
  const text = textOf(value, where);
  if (!entitlements.includes(text) && !/^device=./.test(text))
    throw new JsonFields({}, where).wrong('', `must be one of ${entitlements.join(', ')} and device=NAME`);
  return text;
}

function epoch(fields: JsonFields): BuildRequest['epoch'] {
  const value = fields.any('epoch');
  return value === 'context' || value === 'now' ? value : fields.wholeOrNull('epoch');
}

function runSettings(fields: JsonFields): RunSettings {
  const settings: RunSettings = {
    network: fields.oneOfOr('network', ['default', 'none', 'host'], 'default'),
    networkName: fields.textOrNull('networkName'),
    extraHosts: fields.list('extraHosts', extraHost),
    hostname: fields.textOrNull('hostname'),
    shmSizeBytes: fields.wholeOrNull('shmSizeBytes'),
    ulimits: fields.list('ulimits', ulimit),
    cgroupParent: fields.textOrNull('cgroupParent'),
    memoryBytes: fields.wholeOrNull('memoryBytes'),
    memorySwapBytes: fields.wholeOrNull('memorySwapBytes', -1),
    cpuShares: fields.wholeOrNull('cpuShares'),
    cpuPeriod: fields.wholeOrNull('cpuPeriod'),
    cpuQuota: fields.wholeOrNull('cpuQuota', -1),
    cpus: fields.textOrNull('cpus'),
    memoryNodes: fields.textOrNull('memoryNodes'),
    gpus: fields.list('gpus', gpuRequest),
  };
  fields.end();
  return settings;
}

function gpuRequest(value: unknown, where: string): GpuRequest {
  const fields = new JsonFields(value, where);
  const request: GpuRequest = {
    driver: fields.text('driver'),
    count: fields.wholeOrNull('count', -1) ?? 0,
    ids: fields.texts('ids'),
    capabilities: fields.list('capabilities', texts),
    options: fields.textMap('options'),
  };
  fields.end();
  return request;
}

function texts(value: unknown, where: string): readonly string[] {
  if (!Array.isArray(value)) throw new JsonFields({}, where).wrong('', 'must be a list of texts');
  return value.map((item) => textOf(item, where));
}

function extraHost(value: unknown, where: string): string {
  const text = textOf(value, where);
  if (!/^[^:\s]+:\S+$/.test(text)) throw new JsonFields({}, where).wrong('', 'must be NAME:ADDRESS');
  return text;
}

function ulimit(value: unknown, where: string): RunSettings['ulimits'][number] {
  const fields = new JsonFields(value, where);
  const [name, soft, hard] = [fields.text('name'), fields.wholeOrNull('soft', -1), fields.wholeOrNull('hard', -1)];
  fields.end();
  if (soft === null || hard === null) throw fields.wrong('soft', 'and hard must both be given');
  if (hard !== -1 && (soft === -1 || soft > hard)) throw fields.wrong('soft', 'must not be more than hard');
  return { name, soft, hard };
}

function output(value: unknown, where: string): OutputRequest {
  const fields = new JsonFields(value, where);
  const request: OutputRequest = {
    type: fields.oneOf('type', ['image', 'oci', 'docker', 'tar', 'local']),
    names: [...new Set(fields.texts('names').map((name) => imageName(name, fields)))],
    push: fields.flag('push'),
    compression: compression(fields.object('compression')),
    annotations: fields.textMap('annotations'),
    clientOutput: fields.wholeOrNull('clientOutput') ?? 0,
    unpacked: fields.flag('unpacked'),
    platformSplit: fields.flagOrNull('platformSplit'),
  };
  fields.end();
  return request;
}

function imageName(text: string, fields: JsonFields): string {
  const reference = parseReference(text);
  if (reference.digest !== null) throw fields.wrong('names', 'must not hold a digest');
  return canonicalReference(withDefaultTag(reference));
}

function compression(fields: JsonFields): LayerCompression {
  const read: LayerCompression = {
    kind: fields.oneOfOr('kind', compressions, null),
    level: fields.wholeOrNull('level', -10),
    force: fields.flag('force'),
  };
  fields.end();
  return read;
}

function cache(value: unknown, where: string): CacheLocation {
  const fields = new JsonFields(value, where);
  const location: CacheLocation = {
    type: fields.oneOf('type', ['registry', 'local', 'inline']),
    reference: fields.textOrNull('reference'),
    client: fields.textOrNull('client'),
    mode: fields.oneOfOr('mode', ['min', 'max'], 'min'),
    mounts: fields.flag('mounts'),
    ignoreErrors: fields.flag('ignoreErrors'),
  };
  fields.end();
  if (location.type === 'registry' && location.reference === null)
    throw fields.wrong('reference', 'must be given for a cache in a registry');
  if (location.type === 'local' && location.client === null) throw fields.wrong('client', 'must be given for a local cache');
  return location;
}
