/**
 * The daemon's options for registries: dockerd's (mirrors, insecure registries, transfers at once, proxies), and ours (mirrors by prefix, token realms, directories of
 * certificates). All of them count from the next transfer on after a reload.
 *
 * Proxies come from the daemon's own environment where no option names one, as in dockerd; a proxy's password is never told (`maskedUrl`).
 */
import { isAbsolute } from 'node:path';
import { invalid } from '../base/errors.ts';
import { defaultRegistrySettings, type RegistrySettings } from '../distribution/registry-client.ts';
import { formatSubnet, parseCidr } from '../network/ip-address.ts';

export interface RegistryOptions {
  readonly settings: RegistrySettings;
  /** Layers, of one pull or several. */
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
}

/** Values as text, by flag name. */
type RawValues = ReadonlyMap<string, readonly string[]>;

export function registryOptions(values: RawValues, environment: NodeJS.ProcessEnv): RegistryOptions {
  const list = (flag: string) => values.get(flag) ?? [];
  const number = (flag: string, otherwise: number, least: number) => count(values.get(flag)?.at(-1), flag, otherwise, least);
  return {
    settings: {
      ...defaultRegistrySettings,
      mirrors: [...new Set(list('registry-mirror').map((url) => mirrorUrl(url, '--registry-mirror')))],
      prefixMirrors: prefixMirrors(list('registry-prefix-mirror')),
      insecure: [...new Set(list('insecure-registry').map(insecureRegistry))],
      certificateDirectories: certificateDirectories(list('registry-certs-dir')),
      proxies: proxies(values, environment),
      allowedRealms: allowedRealms(list('registry-allowed-realm')),
      maxAttempts: number('max-download-attempts', defaultRegistrySettings.maxAttempts, 1),
    },
    maxConcurrentDownloads: number('max-concurrent-downloads', 3, 0),
    maxConcurrentUploads: number('max-concurrent-uploads', 5, 0),
  };
}

/** What may be told of a proxy: `http://xxxxx:xxxxx@proxy:3128`, in dockerd's words. */
export function maskedUrl(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/?#]*@/i, '$1xxxxx:xxxxx@');
}

function bad(flag: string, text: string, why: string): Error {
  return invalid(`invalid value for ${flag}: ${JSON.stringify(text)} ${why}`);
}

/** 0 is dockerd's word for its default. */
function count(text: string | undefined, flag: string, otherwise: number, least: number): number {
  if (text === undefined) return otherwise;
  const words = flag.replaceAll('-', ' ');
  if (!/^-?\d{1,9}$/.test(text)) throw bad(`--${flag}`, text, 'is not a whole number');
  if (Number(text) < least) throw invalid(`invalid ${words}: ${text}`);
  return Number(text) || otherwise;
}

/** A slash at the end, as dockerd writes it. A name and a password would be shown by `info`, so they are no part of it. */
function mirrorUrl(text: string, flag: string): string {
  const why = (reason: string) => bad(flag, maskedUrl(text), `invalid mirror: ${reason}`);
  if (!/^https?:\/\//i.test(text)) throw why("must use either 'https://' or 'http://'");
  const url = URL.parse(text);
  if (url === null || url.hostname === '') throw why('not a valid URI');
  if (url.username !== '' || url.password !== '') throw why('username/password not allowed in URI');
  if (/[?#]/.test(text)) throw why('query or fragment at end of the URI');
  return url.href.replace(/\/*$/, '/');
}

/** `PREFIX=URL`; a prefix named several times has several mirrors, in that order. */
function prefixMirrors(texts: readonly string[]): RegistrySettings['prefixMirrors'] {
  const flag = '--registry-prefix-mirror';
  const urls = new Map<string, readonly string[]>();
  for (const text of texts) {
    const [, written = '', url] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    if (url === undefined) throw bad(flag, maskedUrl(text), 'is not PREFIX=URL, like quay.io/team=https://mirror.example/quay');
    const prefix = imagePrefix(written, flag);
    urls.set(prefix, [...new Set([...(urls.get(prefix) ?? []), mirrorUrl(url, flag)])]);
  }
  const longestFirst = [...urls].sort(([one], [other]) => other.length - one.length);
  return longestFirst.map(([prefix, mirrors]) => ({ prefix, urls: mirrors }));
}

const pathComponent = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;

/** `quay.io`, `docker.io/library`: whole components, and the registry is never left out. */
function imagePrefix(text: string, flag: string): string {
  const [domain = '', ...path] = text.replace(/\/$/, '').split('/');
  if (!/[.:]/.test(domain) && domain !== 'localhost') throw bad(flag, text, 'does not begin with a registry, like docker.io/library');
  if (!isHost(domain)) throw bad(flag, text, `begins with ${JSON.stringify(domain)}, which is no HOST or HOST:PORT`);
  if (!path.every((component) => pathComponent.test(component))) throw bad(flag, text, 'is no beginning of an image name');
  return [domain === 'index.docker.io' ? 'docker.io' : domain, ...path].join('/');
}

/** A scheme is forgiven, as in dockerd: people copy addresses. */
function insecureRegistry(text: string): string {
  const flag = '--insecure-registry';
  const host = text.replace(/^https?:\/\//i, '');
  const cidr = host.includes('/') ? parseCidr(host) : null;
  if (cidr !== null) return formatSubnet(cidr.subnet);
  if (host.includes('://')) throw bad(flag, text, "should not contain '://'");
  if (!isHost(host)) throw bad(flag, text, 'is no HOST, HOST:PORT or CIDR');
  if (['docker.io', 'index.docker.io'].includes(host))
    throw bad(flag, text, 'is always asked over verified TLS; its mirrors may be insecure');
  return host.toLowerCase();
}

const hostLabel = '(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])';
const hostAndPort = new RegExp(`^(?:${hostLabel}(?:\\.${hostLabel})*|\\[[0-9a-f:.]+\\])(?::(\\d{1,5}))?$`, 'i');

function isHost(text: string): boolean {
  const match = hostAndPort.exec(text);
  return match !== null && Number(match[1] ?? 1) <= 65_535;
}

function certificateDirectories(paths: readonly string[]): readonly string[] {
  const relative = paths.find((path) => !isAbsolute(path));
  if (relative !== undefined) throw bad('--registry-certs-dir', relative, 'is not an absolute path');
  return paths.length === 0 ? defaultRegistrySettings.certificateDirectories : [...new Set(paths)];
}

/** `REGISTRY=HOST`: the host of a realm that may see the credentials of the registry. */
function allowedRealms(texts: readonly string[]): RegistrySettings['allowedRealms'] {
  const realms = new Map<string, readonly string[]>();
  for (const text of texts) {
    const [registry = '', realm = '', ...more] = text.toLowerCase().split('=');
    if (!isHost(registry) || !isHost(realm) || more.length > 0)
      throw bad('--registry-allowed-realm', text, 'is not REGISTRY=HOST, like registry.example:5000=auth.example');
    realms.set(registry, [...new Set([...(realms.get(registry) ?? []), realm])]);
  }
  return Object.fromEntries(realms);
}

function proxies(values: RawValues, environment: NodeJS.ProcessEnv): RegistrySettings['proxies'] {
  const said = (flag: string, upper: string): readonly [text: string, where: string] => {
    const option = values.get(flag)?.at(-1) ?? '';
    if (option !== '') return [option, `--${flag}`];
    const name = [upper, upper.toLowerCase()].find((candidate) => environment[candidate]) ?? upper;
    return [environment[name] ?? '', `${name} in the environment of the daemon`];
  };
  return {
    http: proxyUrl(...said('http-proxy', 'HTTP_PROXY')),
    https: proxyUrl(...said('https-proxy', 'HTTPS_PROXY')),
    noProxy: said('no-proxy', 'NO_PROXY')[0]
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  };
}

/** `proxy:3128` is read as `http://proxy:3128`, as everywhere. */
function proxyUrl(text: string, where: string): string | null {
  if (text === '') return null;
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || url.hostname === '') throw bad(where, maskedUrl(text), 'is no address of a proxy, like http://proxy.example:3128');
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw bad(where, maskedUrl(text), `names a proxy of the kind ${url.protocol.slice(0, -1)}: only http:// and https:// are spoken`);
  return url.href.replace(/\/$/, '');
}
