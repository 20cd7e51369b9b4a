/** The subnets of a new network: those that were wished, checked against everything else, or free ones. */
import { EngineError, invalid } from '../base/errors.ts';
import { firstUsable } from './address-range.ts';
import { type Family, formatAddress, formatSubnet, overlaps, parseSubnet, type Subnet } from './ip-address.ts';
import type { FamilyWish } from './ipam-config.ts';
import type { HostSubnet } from './net-calls.ts';
import type { NetworkSubnet } from './network-record.ts';
import { type NetworkRegistry, storedSubnet } from './network-registry.ts';
import type { NetworkSettings } from './network-settings.ts';
import { chooseSubnet, type SubnetPool, ulaPool, userPools } from './subnet-choice.ts';

/** What is in nobody's way: who has it, in words. */
export interface TakenSubnet {
  readonly subnet: Subnet;
  readonly owner: string;
  /** Of the host: a wish that overlaps a nameserver's address is only warned of. */
  readonly isDevice: boolean;
}

export function takenByNetworks(registry: NetworkRegistry): readonly TakenSubnet[] {
  return [...registry.every()].flatMap(({ record }) =>
    [record.v4, record.v6]
      .filter((family) => family !== null && !record.configOnly)
      .map((family) => ({ subnet: storedSubnet(family?.subnet ?? ''), owner: `network ${record.name}`, isDevice: true })),
  );
}

const linkLocal = parseSubnet('fe80::/10');

/** What the host has beside our networks. Default routes are in nobody's way, and every link has fe80::/10. */
export function takenByHost(hostSubnets: readonly HostSubnet[], except = ''): readonly TakenSubnet[] {
  return hostSubnets.flatMap(({ subnet: text, device, index, ours }) => {
    const subnet = parseSubnet(text);
    if (ours || subnet === null || subnet.prefix === 0 || (except !== '' && device === except)) return [];
    if (linkLocal !== null && overlaps(linkLocal, subnet)) return [];
    return [
      {
        subnet,
        owner: index === 0 ? 'the host (a nameserver, or a route without a device)' : `the host's device ${device}`,
        isDevice: index !== 0,
      },
    ];
  });
}

export interface FamilyPlanOptions {
  readonly family: Family;
  readonly wish: FamilyWish | null;
  readonly pools: readonly SubnetPool[];
  readonly networks: readonly TakenSubnet[];
  readonly host: readonly TakenSubnet[];
  /** A wish may lie in the host's own subnets: macvlan and ipvlan are for that. */
  readonly mayShareHost: boolean;
  readonly needsGateway: boolean;
}

export function planFamily(options: FamilyPlanOptions): NetworkSubnet {
  const { wish, networks, host, mayShareHost } = options;
  if (wish !== null) {
    refuseOverlap(wish.subnet, mayShareHost ? networks : [...networks, ...host.filter(({ isDevice }) => isDevice)]);
    return subnetOf(wish, true, options.needsGateway);
  }
  const subnet = chooseSubnet(
    options.pools,
    options.family,
    [...networks, ...host].map((taken) => taken.subnet),
  );
  if (subnet === null) throw noneFree(options);
  return subnetOf({ subnet, range: null, gateway: null, auxiliary: new Map() }, false, options.needsGateway);
}

function noneFree({ family, pools }: FamilyPlanOptions): EngineError {
  const searched = pools.filter(({ base }) => base.family === family).map(({ base, size }) => `${formatSubnet(base)} in /${size}`);
  return invalid(
    `all predefined address pools have been fully subnetted: no free IPv${family} subnet in ${searched.join(', ') || 'the pools'}. ` +
      'Remove networks that nobody uses (gantry network prune), name a --subnet, or give the daemon more by --default-address-pool',
  );
}

/** Docker's words, then what is in the way. */
export function refuseOverlap(subnet: Subnet, taken: readonly TakenSubnet[]): void {
  const blocker = taken.find((other) => overlaps(other.subnet, subnet));
  if (blocker === undefined) return;
  throw new EngineError(
    'forbidden',
    'invalid pool request: Pool overlaps with other one on this address space: ' +
      `${formatSubnet(subnet)} overlaps with ${formatSubnet(blocker.subnet)} of ${blocker.owner}`,
  );
}

/** A wish for a nameserver's own subnet is granted, and said. */
export function nameserverWarning(wish: FamilyWish | null, host: readonly TakenSubnet[]): string {
  const found = wish === null ? undefined : host.find(({ subnet, isDevice }) => !isDevice && overlaps(subnet, wish.subnet));
  return found === undefined
    ? ''
    : `${formatSubnet(found.subnet)} of ${found.owner} lies in the subnet of this network and is out of reach now`;
}

function subnetOf(wish: FamilyWish, named: boolean, needsGateway: boolean): NetworkSubnet {
  const { subnet, range, auxiliary } = wish;
  return {
    subnet: formatSubnet(subnet),
    range: range === null ? null : formatSubnet(range),
    gateway: gatewayOf(wish, needsGateway),
    router: '',
    auxiliary: Object.fromEntries([...auxiliary].map(([name, address]) => [name, formatAddress(address)])),
    named,
  };
}

function gatewayOf({ subnet, range, gateway, auxiliary }: FamilyWish, needed: boolean): string {
  if (gateway !== null) return formatAddress(gateway);
  if (!needed) return '';
  const first = firstUsable({ subnet, range, reserved: [...auxiliary.values()] });
  if (first === null) throw invalid(`invalid network config:\nno address of ${formatSubnet(range ?? subnet)} is left for the gateway`);
  return formatAddress(first);
}

/** `--default-address-pool` replaces our pools of its family. */
export function poolsFor(settings: NetworkSettings, daemonId: string, ours: readonly SubnetPool[] = userPools): readonly SubnetPool[] {
  const given = settings.addressPools.map(({ base, size }) => ({ base: storedSubnet(base), size }));
  const of = (family: Family, otherwise: readonly SubnetPool[]) => {
    const own = given.filter(({ base }) => base.family === family);
    return own.length > 0 ? own : otherwise;
  };
  return [...of(4, ours), ...of(6, [ulaPool(daemonId)])];
}
