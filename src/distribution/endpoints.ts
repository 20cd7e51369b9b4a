/**
 * Where a repository is: the places to ask for it, in order.
 *
 *     1. mirrors of the longest prefix of its name that any is set for, then of shorter ones
 *     2. for docker.io, its mirrors
 *     3. the registry itself: always last, and the only one that is written to and gets credentials
 */
import { invalid } from '../base/errors.ts';
import { literalAddress, networkContains, parseNetwork, reachOf } from './address-rule.ts';
import type { RegistrySettings, RepositoryName } from './registry-client.ts';

export interface Endpoint {
  /** `host[:port]`, as in URLs and in `certs.d`. */
  readonly host: string;
  /** `either`: TLS whoever it is, and plain HTTP where none is spoken. */
  readonly scheme: 'https' | 'http' | 'either';
  readonly isVerified: boolean;
  /** `/cache`: before the repository's path. */
  readonly pathPrefix: string;
  /** Null: a mirror. Else the domain that credentials are kept by. */
  readonly registryOf: string | null;
}

/** Docker's own registry has another name than its images. */
const hosts: ReadonlyMap<string, string> = new Map([
  ['docker.io', 'registry-1.docker.io'],
  ['index.docker.io', 'registry-1.docker.io'],
]);

export function endpointsOf(settings: RegistrySettings, name: RepositoryName): readonly Endpoint[] {
  const full = `${name.domain}/${name.path}`;
  const isUnder = (prefix: string): boolean => full === prefix || full.startsWith(`${prefix}/`);
  const matching = settings.prefixMirrors
    .map(({ prefix, urls }) => ({ prefix: prefix.replace(/\/+$/, ''), urls }))
    .filter(({ prefix }) => prefix !== '' && isUnder(prefix))
    .sort((one, other) => other.prefix.length - one.prefix.length);
  const urls = [...matching.flatMap((entry) => entry.urls), ...(name.domain === 'docker.io' ? settings.mirrors : [])];
  const mirrors = urls.map((url) => mirrorEndpoint(settings, url));
  const unique = mirrors.filter((mirror, index) => mirrors.findIndex((other) => sameEndpoint(other, mirror)) === index);
  return [...unique, registryEndpoint(settings, name.domain)];
}

export function registryEndpoint(settings: RegistrySettings, domain: string): Endpoint {
  const host = hosts.get(domain) ?? domain;
  const insecure = isInsecure(settings.insecure, host);
  return { host, scheme: insecure ? 'either' : 'https', isVerified: !insecure, pathPrefix: '', registryOf: domain };
}

/** A mirror's URL says how it is spoken to: `http://` is plain. */
export function mirrorEndpoint(settings: RegistrySettings, text: string): Endpoint {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw invalid(`invalid mirror: ${JSON.stringify(text)} is not a URL`, { cause });
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw invalid(`invalid mirror: unsupported scheme "${url.protocol.slice(0, -1)}" in ${url.host}`);
  if (url.username !== '' || url.password !== '') throw invalid(`invalid mirror: username/password not allowed in URI of ${url.host}`);
  if (url.search !== '' || url.hash !== '') throw invalid(`invalid mirror: query or fragment in the URI of ${url.host}`);
  const isVerified = !isInsecure(settings.insecure, url.host);
  const pathPrefix = url.pathname.replace(/\/+$/, '');
  return { host: url.host, scheme: url.protocol === 'http:' ? 'http' : 'https', isVerified, pathPrefix, registryOf: null };
}

/** `host[:port]` as in the reference, or a CIDR that holds the literal address. Loopback always is, as in Docker. */
export function isInsecure(insecure: readonly string[], host: string): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  const literal = literalAddress(name);
  if (name === 'localhost' || (literal && reachOf(literal) === 'loopback')) return true;
  return insecure.some((entry) => {
    const network = parseNetwork(entry);
    if (network) return literal !== null && networkContains(network, literal);
    return entry.toLowerCase() === host.toLowerCase();
  });
}

function sameEndpoint(one: Endpoint, other: Endpoint): boolean {
  return one.host === other.host && one.scheme === other.scheme && one.pathPrefix === other.pathPrefix;
}
