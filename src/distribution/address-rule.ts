/**
 * Which addresses a request may reach. A person or an administrator names a registry, and may name any address. A registry that answers with a redirect, a token realm
 * or the URL of a foreign layer names the next address itself, and must not point the daemon at what only the daemon can reach (SECURITY.md row 28).
 *
 *     loopback  may send on to  loopback, private, public
 *     private   may send on to  private, public
 *     public    may send on to  public
 *     never     nobody: link-local with the clouds' metadata services, multicast, reserved
 */
import { isIP } from 'node:net';
import { bytesToIp, ipToBytes } from '../base/ip-bytes.ts';

export type Reach = 'public' | 'private' | 'loopback';

/** `any`: the address was named by a person. */
export type AddressRule = 'any' | Reach;

const inwards: Readonly<Record<Reach, number>> = { public: 0, private: 1, loopback: 2 };

type Network = readonly [network: string, bits: number];

const neverV4: readonly Network[] = [
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];
const neverV6: readonly Network[] = [
  ['fe80::', 10],
  ['ff00::', 8],
  // The metadata service of a cloud, in what else is private space.
  ['fd00:ec2::254', 128],
];
const loopbackNetworks: readonly Network[] = [
  ['127.0.0.0', 8],
  ['0.0.0.0', 8],
  ['::', 127],
];
const privateNetworks: readonly Network[] = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['198.18.0.0', 15],
  ['fc00::', 7],
  ['fec0::', 10],
];

export function isAllowed(rule: AddressRule, ip: string): boolean {
  if (rule === 'any') return true;
  const reach = reachOf(ip);
  return reach !== 'never' && inwards[reach] <= inwards[rule];
}

/** `ip`: a literal address, with or without a zone. */
export function reachOf(ip: string): Reach | 'never' {
  const bytes = embeddedV4(addressBytes(ip));
  if ([...neverV4, ...neverV6].some((network) => contains(network, bytes))) return 'never';
  if (loopbackNetworks.some((network) => contains(network, bytes))) return 'loopback';
  return privateNetworks.some((network) => contains(network, bytes)) ? 'private' : 'public';
}

/** The address in `host`, which may be bracketed; null when it is a name. */
export function literalAddress(host: string): string | null {
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  return isIP(bare) === 0 ? null : bare;
}

/** `10.0.0.0/8`; null when the text is none. */
export function parseNetwork(text: string): Network | null {
  const [network = '', bits = '', ...more] = text.split('/');
  if (more.length > 0 || isIP(network) === 0 || !/^\d{1,3}$/.test(bits)) return null;
  const size = addressBytes(network).length * 8;
  return Number(bits) > size ? null : [network, Number(bits)];
}

export function networkContains(network: Network, ip: string): boolean {
  return contains(network, embeddedV4(addressBytes(ip)));
}

function contains([network, bits]: Network, bytes: Uint8Array): boolean {
  const start = ipToBytes(network);
  if (start.length !== bytes.length) return false;
  const whole = bits >> 3;
  for (let index = 0; index < whole; index++) if (start[index] !== bytes[index]) return false;
  const mask = 0xff & (0xff00 >> (bits & 7));
  return (bits & 7) === 0 || ((start[whole] ?? 0) & mask) === ((bytes[whole] ?? 0) & mask);
}

function addressBytes(ip: string): Uint8Array {
  return ipToBytes(ip.replace(/%.*$/, ''));
}

/** IPv4 inside IPv6 (mapped, NAT64, 6to4) reaches that IPv4 address. */
function embeddedV4(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== 16) return bytes;
  if (bytesToIp(bytes).startsWith('::ffff:') && contains(['::ffff:0:0', 96], bytes)) return bytes.subarray(12);
  if (contains(['64:ff9b::', 96], bytes)) return bytes.subarray(12);
  return contains(['2002::', 16], bytes) ? bytes.subarray(2, 6) : bytes;
}
