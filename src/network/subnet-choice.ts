/**
 * Which subnet a network gets that names none: the first of the pools that overlaps nothing the host knows and no network of ours. Pure.
 *
 * Our pools are small on purpose: Docker's /16 for each network are used up after thirty networks and collide with every second company's addresses.
 */
import { createHash } from 'node:crypto';
import { type Family, lastOf, overlaps, parseSubnet, type Subnet, widthOf } from './ip-address.ts';

export interface SubnetPool {
  readonly base: Subnet;
  /** Prefix length of what one network gets. */
  readonly size: number;
}

function pool(base: string, size: number): SubnetPool {
  const subnet = parseSubnet(base);
  if (subnet === null) throw new Error(`defect: ${base} is no subnet`);
  return { base: subnet, size };
}

const privateRanges = ['172.18.0.0/16', '172.19.0.0/16', '172.20.0.0/14', '172.24.0.0/14', '172.28.0.0/14', '192.168.0.0/16'];

/** Docker's address where it is free, because people know it; else room for a thousand containers. */
export const defaultBridgePools: readonly SubnetPool[] = [
  pool('172.17.0.0/16', 16),
  ...privateRanges.map((base) => pool(base, 20)),
  pool('10.0.0.0/8', 20),
];

export const userPools: readonly SubnetPool[] = [...privateRanges.map((base) => pool(base, 24)), pool('10.0.0.0/8', 24)];

/** RFC 4193: fd00::/8 and 40 bits that no other daemon has. */
export function ulaPool(daemonId: string): SubnetPool {
  const globalId = createHash('sha256').update(`${daemonId} unique local addresses`).digest('hex').slice(0, 10);
  return { base: { family: 6, base: BigInt(`0xfd${globalId}`) << 80n, prefix: 48 }, size: 64 };
}

/** Null when every subnet of the pools is taken. */
export function chooseSubnet(pools: readonly SubnetPool[], family: Family, taken: readonly Subnet[]): Subnet | null {
  for (const { base, size } of pools) {
    const found = base.family === family ? firstFree(base, size, taken) : null;
    if (found !== null) return found;
  }
  return null;
}

function firstFree(base: Subnet, size: number, taken: readonly Subnet[]): Subnet | null {
  const step = 1n << BigInt(widthOf(base.family) - size);
  const end = lastOf(base);
  for (let candidate = base.base; candidate <= end; ) {
    const subnet: Subnet = { family: base.family, base: candidate, prefix: size };
    const blocker = taken.find((other) => overlaps(subnet, other));
    if (blocker === undefined) return subnet;
    // Behind the end of what is in the way: a host route may cover thousands of candidates.
    const behind = lastOf(blocker) + 1n;
    candidate = behind > candidate + step ? ((behind + step - 1n) / step) * step : candidate + step;
  }
  return null;
}
