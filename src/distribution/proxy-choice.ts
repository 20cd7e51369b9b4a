/**
 * Which proxy a request goes through, by the rules of `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` as Go programs read them: loopback never does; an entry of the
 * list is `*`, a name (with everything below it), `.name` (only what is below it), an address or a CIDR, each with an optional port.
 */
import { invalid } from '../base/errors.ts';
import { literalAddress, networkContains, parseNetwork, reachOf } from './address-rule.ts';
import type { RegistrySettings } from './registry-client.ts';

export interface ProxyServer {
  /** Without user and password. */
  readonly url: URL;
  /** `Proxy-Authorization` */
  readonly authorization: string | null;
}

export function proxyFor(url: URL, proxies: RegistrySettings['proxies']): ProxyServer | null {
  const text = url.protocol === 'https:' ? proxies.https : proxies.http;
  if (!text || isExempt(url, proxies.noProxy)) return null;
  return parseProxy(text);
}

export function parseProxy(text: string): ProxyServer {
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  } catch {
    // The text may hold a password.
    throw invalid('invalid proxy address: it is not a URL');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw invalid(`proxy ${url.protocol}//${url.host} is not supported: only http:// and https:// proxies are`);
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  const authorization = url.username === '' ? null : `Basic ${Buffer.from(user).toString('base64')}`;
  return { url: new URL(`${url.protocol}//${url.host}/`), authorization };
}

function isExempt(url: URL, noProxy: readonly string[]): boolean {
  const host = url.hostname.toLowerCase().replace(/\.$/, '');
  const literal = literalAddress(host);
  if (host === 'localhost' || (literal && reachOf(literal) === 'loopback')) return true;
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy.some((entry) => matches(entry.trim().toLowerCase(), host, literal, port));
}

function matches(entry: string, host: string, literal: string | null, port: string): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const network = parseNetwork(entry);
  if (network) return literal !== null && networkContains(network, literal);
  const whole = literalAddress(entry);
  if (whole) return literal === whole;
  const [, name = entry, wanted] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (wanted !== undefined && wanted !== port) return false;
  if (literal) return literalAddress(name) === literal;
  const suffix = name.startsWith('*.') ? name.slice(1) : name;
  return suffix.startsWith('.') ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`);
}
