/** Where a request comes from, and by which name it came: what the connection says, or what proxies that are trusted say. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { bytesToIp, ipToBytes } from '../../base/ip-bytes.ts';
import { networkContains, parseNetwork } from '../../distribution/address-rule.ts';

export function clientAddress(request: IncomingMessage, trustedProxies: readonly string[]): string {
  let address = plain(request.socket.remoteAddress ?? '');
  if (trustedProxies.length === 0) return address;
  const forwarded = [request.headers['x-forwarded-for'] ?? []]
    .flat()
    .join(',')
    .split(',')
    .map((text) => text.trim());
  // From the nearest outwards: what the first that is not trusted says of others counts for nothing.
  while (isTrusted(address, trustedProxies)) {
    const next = forwarded.pop();
    if (next === undefined || isIP(next) === 0) return address;
    address = plain(next);
  }
  return address;
}

/** Scheme and host that the client used. A trusted proxy says whether it was spoken to by TLS: nobody is sent for a token without it who came with it. */
export function clientOrigin(request: IncomingMessage, trustedProxies: readonly string[]): string {
  const [told] = [request.headers['x-forwarded-proto'] ?? []].flat().join(',').split(',');
  const isByTls =
    'encrypted' in request.socket ||
    (told?.trim().toLowerCase() === 'https' && isTrusted(plain(request.socket.remoteAddress ?? ''), trustedProxies));
  return `${isByTls ? 'https' : 'http'}://${request.headers.host ?? 'localhost'}`;
}

/** For limits: who has one address of IPv6 has all of its /64. */
export function limitKey(address: string): string {
  if (isIP(address) !== 6) return address;
  return `${bytesToIp(Buffer.concat([ipToBytes(address.replace(/%.*$/, '')).subarray(0, 8), Buffer.alloc(8)]))}/64`;
}

function isTrusted(address: string, proxies: readonly string[]): boolean {
  if (isIP(address) === 0) return false;
  return proxies.some((proxy) => {
    const network = parseNetwork(proxy.includes('/') ? proxy : `${proxy}/${isIP(proxy) === 4 ? 32 : 128}`);
    return network !== null && networkContains(network, address);
  });
}

function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}
