/** Addresses and subnets of both families as numbers: read, written in their canonical form, compared. Pure. */
import { isIPv4, isIPv6 } from 'node:net';

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

/** `base` has no host bits. */
export interface Subnet {
  readonly family: Family;
  readonly base: bigint;
  readonly prefix: number;
}

const widths = { 4: 32, 6: 128 } as const;

export function widthOf(family: Family): number {
  return widths[family];
}

/** Null when the text is no address. Zones (`fe80::1%eth0`) are none. */
export function parseAddress(text: string): Address | null {
  if (isIPv4(text)) return { family: 4, value: ipv4Value(text) };
  if (isIPv6(text) && !text.includes('%')) return { family: 6, value: ipv6Value(text) };
  return null;
}

function ipv4Value(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function ipv6Value(text: string): bigint {
  const [head = '', tail] = embeddedIpv4AsGroups(text).split('::');
  const groupsOf = (part: string) => (part === '' ? [] : part.split(':'));
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** `::ffff:10.0.0.1` → `::ffff:a00:1` */
function embeddedIpv4AsGroups(text: string): string {
  const at = text.lastIndexOf(':') + 1;
  if (!text.slice(at).includes('.')) return text;
  const value = ipv4Value(text.slice(at));
  return `${text.slice(0, at)}${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}

export function formatAddress({ family, value }: Address): string {
  return family === 4 ? [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.') : formatIpv6(value);
}

/** RFC 5952: the longest run of at least two zero groups is `::`, the first of equals. */
function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  if (best.length === 1) return groups.join(':');
  return `${groups.slice(0, best.start).join(':')}::${groups.slice(best.start + best.length).join(':')}`;
}

export interface AddressWithPrefix {
  readonly address: Address;
  readonly subnet: Subnet;
}

/** `10.0.0.1/24`: the address as written, and its subnet. Null when it is no such pair. */
export function parseCidr(text: string): AddressWithPrefix | null {
  const [left = '', right, ...rest] = text.split('/');
  const address = parseAddress(left);
  if (address === null || rest.length > 0 || right === undefined || !/^(0|[1-9]\d{0,2})$/.test(right)) return null;
  const prefix = Number(right);
  if (prefix > widthOf(address.family)) return null;
  return { address, subnet: subnetAround(address, prefix) };
}

/** Null when it is none, or has host bits. */
export function parseSubnet(text: string): Subnet | null {
  const cidr = parseCidr(text);
  return cidr !== null && cidr.subnet.base === cidr.address.value ? cidr.subnet : null;
}

export function subnetAround({ family, value }: Address, prefix: number): Subnet {
  const hostBits = BigInt(widthOf(family) - prefix);
  return { family, base: (value >> hostBits) << hostBits, prefix };
}

export function formatSubnet({ family, base, prefix }: Subnet): string {
  return `${formatAddress({ family, value: base })}/${prefix}`;
}

export function lastOf({ family, base, prefix }: Subnet): bigint {
  return base + (1n << BigInt(widthOf(family) - prefix)) - 1n;
}

export function contains(subnet: Subnet, { family, value }: Address): boolean {
  return family === subnet.family && value >= subnet.base && value <= lastOf(subnet);
}

export function containsSubnet(outer: Subnet, inner: Subnet): boolean {
  return outer.family === inner.family && inner.prefix >= outer.prefix && contains(outer, { family: inner.family, value: inner.base });
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.family === b.family && a.base <= lastOf(b) && b.base <= lastOf(a);
}

/** The network's or the broadcast address: no host can have it. In IPv6 the subnet-router anycast address (RFC 4291, 2.6.1); /31 has neither (RFC 3021). */
export function unusableHost(subnet: Subnet, { value }: Address): boolean {
  if (subnet.prefix >= widthOf(subnet.family) - 1) return false;
  return value === subnet.base || (subnet.family === 4 && value === lastOf(subnet));
}
