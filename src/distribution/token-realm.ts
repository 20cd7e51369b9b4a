/**
 * Whether a token realm may see a registry's credentials (SECURITY.md row 28; the reasons are in docs/decisions/0007-token-realms.md).
 *
 * A registry's challenge names the realm, so whoever can write that one header would be sent the password. It is sent only over TLS, and only to
 *   - the registry's own host (any port),
 *   - a host that is allowed for this registry: built in for docker.io, else by the administrator,
 *   - a host of the same site: the registry's name without its first label, as `gitlab.com` of `registry.gitlab.com`, unless that is a suffix that strangers share.
 * Everybody else is asked anonymously.
 */
import { literalAddress } from './address-rule.ts';

const builtIn: ReadonlyMap<string, readonly string[]> = new Map([
  ['docker.io', ['auth.docker.io']],
  ['index.docker.io', ['auth.docker.io']],
]);

/** Under these, neighbours are strangers. Suffixes of two short labels (`co.uk`) are known by their shape. */
const sharedSuffixes: readonly string[] = [
  'amazonaws.com',
  'appspot.com',
  'azurecr.io',
  'azurewebsites.net',
  'cloudapp.net',
  'cloudfront.net',
  'duckdns.org',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'herokuapp.com',
  'hf.space',
  'netlify.app',
  'ngrok.app',
  'ngrok.io',
  'nip.io',
  'onrender.com',
  'pages.dev',
  'pkg.dev',
  'run.app',
  'scw.cloud',
  'sslip.io',
  'ts.net',
  'vercel.app',
  'web.app',
  'windows.net',
  'workers.dev',
];

export interface RealmQuestion {
  /** The domain that the credentials are kept by. */
  readonly domain: string;
  /** `host[:port]` of the registry that was asked. */
  readonly registryHost: string;
  readonly realm: URL;
  /** The registry was reached by plain HTTP, or by TLS that nobody checks, and is declared so. */
  readonly isInsecure: boolean;
  readonly allowedRealms: Readonly<Record<string, readonly string[]>>;
}

export type RealmAnswer = 'same-host' | 'allowed' | 'same-site' | 'stranger';

export function judgeRealm({ domain, registryHost, realm, isInsecure, allowedRealms }: RealmQuestion): RealmAnswer {
  const host = realm.hostname.toLowerCase();
  const isSameHost = host === hostname(registryHost) || host === hostname(domain);
  if (realm.protocol !== 'https:' && !(isInsecure && realm.protocol === 'http:')) return 'stranger';
  if (isSameHost) return 'same-host';
  const allowed = [...(builtIn.get(domain) ?? []), ...(Object.hasOwn(allowedRealms, domain) ? (allowedRealms[domain] ?? []) : [])];
  if (allowed.some((entry) => entry.toLowerCase() === host || entry.toLowerCase() === realm.host.toLowerCase())) return 'allowed';
  if (realm.protocol !== 'https:' || isInsecure) return 'stranger';
  const site = siteOf(hostname(registryHost));
  return site !== null && (host === site || host.endsWith(`.${site}`)) ? 'same-site' : 'stranger';
}

/** `gitlab.com` for `registry.gitlab.com`; null where the rest of the name could be anybody's. */
export function siteOf(host: string): string | null {
  if (literalAddress(host)) return null;
  const labels = host.split('.');
  if (labels.length < 3 || labels.includes('')) return null;
  const site = labels.slice(1);
  const text = site.join('.');
  // `co.uk`, `com.au`, `ac.jp`, `gov.in`
  const looksLikeSuffix = site.length === 2 && (site[0]?.length ?? 0) <= 3 && site[1]?.length === 2;
  const isShared = sharedSuffixes.some((suffix) => text === suffix || text.endsWith(`.${suffix}`));
  return looksLikeSuffix || isShared ? null : text;
}

function hostname(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase();
}
