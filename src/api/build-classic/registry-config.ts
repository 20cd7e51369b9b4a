/**
 * `X-Registry-Config`: who asks which registry, as base64 of JSON: registry → AuthConfig. A build may pull from several. What it holds is a secret: it is in no message, and goes to the
 * registry that it is for.
 */
import { invalid } from '../../base/errors.ts';
import type { RegistryCredentials } from '../../images/transfers.ts';
import type { Exchange } from '../exchange.ts';
import { credentialsOf } from '../registry-auth.ts';

const header = 'x-registry-config';
const hubHosts = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io']);

/** By host, `docker.io` for the Hub. */
export function registryConfig(exchange: Exchange): ReadonlyMap<string, RegistryCredentials> {
  const text = exchange.request.headers[header];
  if (text === undefined || text === '') return new Map();
  if (typeof text !== 'string') throw malformed();
  const found = new Map<string, RegistryCredentials>();
  for (const [server, config] of Object.entries(parse(text))) {
    if (typeof config !== 'object' || config === null) throw malformed();
    const credentials = configured(config);
    // The same registry may stand there by its old address too: a full spelling does not win over the plain name.
    if (credentials !== null && (server === registryHost(server) || !found.has(registryHost(server))))
      found.set(registryHost(server), credentials);
  }
  return found;
}

function configured(config: object): RegistryCredentials | null {
  try {
    return credentialsOf(config);
  } catch {
    throw malformed();
  }
}

/** `https://index.docker.io/v1/` → `docker.io` */
function registryHost(server: string): string {
  const host = server
    .trim()
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/s, '');
  return hubHosts.has(host) ? 'docker.io' : host;
}

/** Padded or not, either alphabet; `null` is nobody. */
function parse(text: string): object {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) throw malformed();
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
    if (value === null) return {};
    if (typeof value === 'object' && !Array.isArray(value)) return value;
  } catch {
    // Told below, without its text.
  }
  throw malformed();
}

function malformed(): Error {
  return invalid(
    'invalid X-Registry-Config header: it must be base64url of a JSON object like {"registry.example":{"username":"…","password":"…"}}',
  );
}
