/**
 * The query of `POST /build` as a build request. What clients send beyond their Dockerfile is checked here, each parameter by its name: Docker reads garbage in a number as 0, and a
 * limit that was meant is then none. Parameters that a version of the API did not have are ignored in it, as Docker does.
 */
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { invalid, notImplemented } from '../../base/errors.ts';
import type { BuildRequest, CacheLocation, OutputRequest, RunSettings } from '../../build/build-request.ts';
import type { Platform } from '../../oci/platform.ts';
import { parsePlatformSpecifier } from '../../oci/platform-specifier.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { Exchange } from '../exchange.ts';
import { jsonList, jsonMap, jsonTextList, refuseParameter } from './json-parameters.ts';
import { remoteContext } from './remote-context.ts';

export interface ClassicBuild {
  readonly request: BuildRequest;
  /** `q`: only the image's id is told. */
  readonly quiet: boolean;
}

/** The name that the body of the request has as a context. */
export const bodyContext = 'context';

export function classicBuild(exchange: Exchange): ClassicBuild {
  refuseForeign(exchange);
  const run = runSettings(exchange);
  return {
    quiet: exchange.flag('q'),
    request: {
      id: exchange.text('buildid') || randomBytes(16).toString('hex'),
      dockerfilePath: dockerfilePath(exchange.text('dockerfile') ?? ''),
      context: remoteContext(exchange.text('remote') ?? '') ?? { kind: 'client', name: bodyContext },
      namedContexts: new Map(),
      target: exchange.text('target') || null,
      platforms: platforms(exchange),
      buildArguments: buildArguments(exchange),
      labels: labels(exchange),
      noCache: exchange.flag('nocache') ? 'all' : [],
      pull: exchange.flag('pull'),
      run,
      // Whoever may ask the daemon for a build may ask it for a container with the host's network.
      entitlements: new Set(run.network === 'host' ? ['network.host'] : []),
      outputs: [imageOutput(exchange)],
      cacheFrom: jsonTextList(exchange, 'cachefrom').map(cacheLocation),
      cacheTo: [],
      provenance: null,
      sbom: false,
      squash: exchange.flag('squash'),
      epoch: null,
      explain: false,
      keepFailed: false,
      verify: false,
      call: 'build',
    },
  };
}

/** What Docker refuses on Linux, and what cannot be done here. `rm` and `forcerm` are about containers that builds do not leave: whatever they say is so. */
function refuseForeign(exchange: Exchange): void {
  const isolation = exchange.text('isolation') ?? '';
  if (isolation !== '' && isolation.toLowerCase() !== 'default') throw invalid(`Unsupported isolation: ${JSON.stringify(isolation)}`);
  if (exchange.query.has('securityopt')) throw invalid('The daemon on this platform does not support setting security options on build');
  if (exchange.apiMinor >= 40) refuseOutputs(exchange);
}

function refuseOutputs(exchange: Exchange): void {
  for (const output of jsonList(exchange, 'outputs')) {
    const type = typeof output === 'object' && output !== null && 'Type' in output ? output.Type : null;
    if (typeof type !== 'string') throw refuseParameter('outputs', 'each needs a Type');
    if (type === 'moby' || type === 'image') continue;
    throw notImplemented(
      `the parameter "outputs" with type=${type} is not supported by the classic builder's protocol, which has no way back for files: use gantry build --output, or buildx`,
    );
  }
}

function dockerfilePath(text: string): string | null {
  if (text === '') return null;
  const path = posix.join('.', text);
  if (path === '..' || path.startsWith('../')) throw invalid(`forbidden path outside the build context: ${text} ()`);
  const relative = path.replace(/^\/+/, '');
  if (relative === '' || relative === '.') throw refuseParameter('dockerfile', `${JSON.stringify(text)} is a directory`);
  return relative;
}

function platforms(exchange: Exchange): readonly Platform[] {
  const text = exchange.text('platform') ?? '';
  return text === '' || exchange.apiMinor < 32 ? [] : [parsePlatformSpecifier(text)];
}

/** Null is a variable that the client's environment does not have: as if it were not named. */
function buildArguments(exchange: Exchange): ReadonlyMap<string, string> {
  const given = jsonMap(exchange, 'buildargs', 'error reading build args');
  return new Map([...given].filter((pair): pair is [string, string] => pair[1] !== null));
}

function labels(exchange: Exchange): ReadonlyMap<string, string> {
  return new Map([...jsonMap(exchange, 'labels', 'error reading labels')].map(([name, value]) => [name, value ?? '']));
}

function imageOutput(exchange: Exchange): OutputRequest {
  const names = exchange.query
    .getAll('t')
    .filter((name) => name !== '')
    .map(imageName);
  return {
    type: 'image',
    names: [...new Set(names)],
    push: false,
    compression: { kind: null, level: null, force: false },
    annotations: new Map(),
    clientOutput: 0,
    unpacked: false,
    platformSplit: null,
  };
}

function imageName(text: string): string {
  const reference = parseReference(text);
  if (reference.digest !== null) throw invalid('build tag cannot contain a digest');
  return canonicalReference(withDefaultTag(reference));
}

function cacheLocation(reference: string): CacheLocation {
  return { type: 'registry', reference, client: null, mode: 'min', mounts: false, ignoreErrors: true };
}

export function runSettings(exchange: Exchange): RunSettings {
  return {
    ...networkOf(exchange.apiMinor < 25 ? '' : (exchange.text('networkmode') ?? '')),
    extraHosts: exchange.query
      .getAll('extrahosts')
      .filter((text) => text !== '')
      .map(extraHost),
    hostname: null,
    shmSizeBytes: positive(exchange, 'shmsize'),
    ulimits: jsonList(exchange, 'ulimits', 'error reading ulimit settings').map(ulimit),
    cgroupParent: exchange.text('cgroupparent') || null,
    memoryBytes: positive(exchange, 'memory'),
    memorySwapBytes: positive(exchange, 'memswap', -1),
    cpuShares: positive(exchange, 'cpushares'),
    cpuPeriod: positive(exchange, 'cpuperiod'),
    cpuQuota: positive(exchange, 'cpuquota', -1),
    cpus: cpuList(exchange, 'cpusetcpus'),
    memoryNodes: cpuList(exchange, 'cpusetmems'),
    gpus: [],
  };
}

function networkOf(mode: string): Pick<RunSettings, 'network' | 'networkName'> {
  if (mode === '' || mode === 'default' || mode === 'bridge') return { network: 'default', networkName: null };
  if (mode === 'none' || mode === 'host') return { network: mode, networkName: null };
  if (mode.startsWith('container:'))
    throw notImplemented('the parameter "networkmode" as container:NAME is not supported: name a network that both are on');
  return { network: 'default', networkName: mode };
}

function extraHost(text: string): string {
  const [, name, address] = /^([^:=]+)[:=](.+)$/.exec(text) ?? [];
  if (name === undefined || address === undefined) throw refuseParameter('extrahosts', `${JSON.stringify(text)} is not NAME:ADDRESS`);
  return `${name}:${address.replace(/^\[(.*)\]$/, '$1')}`;
}

/** Absent, empty and 0 are Docker's "as usual". */
function positive(exchange: Exchange, name: string, least = 0): number | null {
  const value = exchange.integer(name);
  if (value === null || value === 0) return null;
  if (value < least) throw refuseParameter(name, `${value} is negative`);
  return value;
}

function cpuList(exchange: Exchange, name: string): string | null {
  const text = exchange.text(name) ?? '';
  if (text === '') return null;
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) throw refuseParameter(name, `${JSON.stringify(text)} is not a list like 0-3,5`);
  return text;
}

function ulimit(value: unknown): RunSettings['ulimits'][number] {
  const { Name: name, Soft: soft, Hard: hard } = Object(value) as Readonly<Record<string, unknown>>;
  const isLimit = (limit: unknown): limit is number => Number.isSafeInteger(limit) && (limit as number) >= -1;
  if (typeof name !== 'string' || name === '' || !isLimit(soft) || !isLimit(hard))
    throw refuseParameter('ulimits', 'each is {"Name":"nofile","Soft":1024,"Hard":2048}');
  return { name, soft, hard };
}

/** The classic builder is version 1; 2 is BuildKit over the same route. */
export function builderVersion(exchange: Exchange): '1' | '2' {
  const text = exchange.apiMinor < 38 ? '' : (exchange.text('version') ?? '');
  if (text === '' || text === '1') return '1';
  if (text === '2') return '2';
  throw invalid(`invalid version ${JSON.stringify(text)}`);
}
