/**
 * The network of containers that name none: `bridge`. What the daemon's options say of it, else what it had before, else what is free. Its subnet is kept
 * over restarts while nothing of the host is in the way; containers that still run keep it in any case.
 */
import { createHash } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { errorText, invalid, notImplemented } from '../base/errors.ts';
import { firstUsable } from './address-range.ts';
import {
  type Address,
  type AddressWithPrefix,
  contains,
  containsSubnet,
  type Family,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseCidr,
  type Subnet,
} from './ip-address.ts';
import type { HostSubnet } from './net-calls.ts';
import type { NetworkContext } from './network-context.ts';
import type { NetworkRecord, NetworkSubnet } from './network-record.ts';
import { storedAddress, storedSubnet } from './network-registry.ts';
import type { NetworkSettings } from './network-settings.ts';
import { chooseSubnet, defaultBridgePools } from './subnet-choice.ts';
import { poolsFor, refuseOverlap, type TakenSubnet, takenByHost, takenByNetworks } from './subnet-plan.ts';

/** Never changes for one daemon. */
export function predefinedId(daemonId: string, name: 'bridge' | 'host' | 'none'): string {
  return createHash('sha256').update(`${daemonId} network ${name}`).digest('hex');
}

/** `host` and `none`: they are names, nothing is made for them. */
export function namelessNetwork(daemonId: string, name: 'host' | 'none', createdAt: number): NetworkRecord {
  return {
    ...common(daemonId, name, createdAt),
    driver: name === 'host' ? 'host' : 'null',
    options: {},
    bridge: '',
    ownBridge: false,
    v4: null,
    v6: null,
    enableIPv6: false,
  };
}

function common(daemonId: string, name: 'bridge' | 'host' | 'none', createdAt: number) {
  return {
    id: predefinedId(daemonId, name),
    name,
    createdAt,
    internal: false,
    attachable: false,
    configOnly: false,
    configFrom: '',
    enableIPv4: true,
    ipam: { driver: 'default', options: null, config: [] },
    labels: {},
    predefined: true,
  };
}

/** Of the default daemon `gantry0`; a device's name holds 15 bytes. */
export function defaultDevice(globalName: string): string {
  const short = globalName.replace(/^gantry-?/, '');
  return short === '' ? 'gantry0' : `gantry0-${short}`.slice(0, 15);
}

export interface DefaultBridgePlan {
  readonly record: NetworkRecord;
  /** Nobody named its subnets, and it is new: another daemon may be choosing the same now. */
  readonly isFreshChoice: boolean;
}

/** `stored`: what it was. `inUse`: containers run on it. Null: `--bridge none`. */
export function planDefaultBridge(
  context: NetworkContext,
  stored: NetworkRecord | null,
  inUse: boolean,
  hostSubnets: readonly HostSubnet[],
): DefaultBridgePlan | null {
  const { settings, logger } = context;
  if (inUse && stored !== null) {
    const why = settings.bridge === 'none' ? 'it is there although --bridge is none' : unlike(context, stored, hostSubnets);
    if (why !== null)
      logger.warn({ network: 'bridge' }, `containers run on the default bridge, so ${why}: stop them and restart the daemon`);
    return { record: stored, isFreshChoice: false };
  }
  if (settings.bridge === 'none') return null;
  return freshPlan(context, stored, hostSubnets);
}

function unlike(context: NetworkContext, stored: NetworkRecord, hostSubnets: readonly HostSubnet[]): string | null {
  try {
    const { record } = freshPlan(context, stored, hostSubnets);
    const shape = ({ bridge, v4, v6, options }: NetworkRecord) => JSON.stringify({ bridge, v4, v6, options });
    return shape(record) === shape(stored) ? null : 'it keeps what it had, and the changed options of it are not in force yet';
  } catch (thrown) {
    return `it keeps what it had, which would be refused now (${errorText(thrown)})`;
  }
}

function freshPlan(context: NetworkContext, stored: NetworkRecord | null, hostSubnets: readonly HostSubnet[]): DefaultBridgePlan {
  const { settings, globalName, daemonId } = context;
  if (settings.ipv6 && !context.facts.ipv6) throw notImplemented('--ipv6: the kernel of this host has no IPv6');
  const bridge = settings.bridge ?? defaultDevice(globalName);
  const surroundings = { networks: takenByNetworks(context.registry), host: takenByHost(hostSubnets, bridge) };
  const family = (number: Family) => planFamily(context, number, number === 4 ? (stored?.v4 ?? null) : (stored?.v6 ?? null), surroundings);
  const v4 = family(4);
  const v6 = settings.ipv6 ? family(6) : null;
  const record: NetworkRecord = {
    ...common(daemonId, 'bridge', stored?.createdAt ?? Date.now()),
    driver: 'bridge',
    enableIPv6: settings.ipv6,
    options: {
      'com.docker.network.bridge.default_bridge': 'true',
      'com.docker.network.bridge.enable_icc': String(settings.icc),
      'com.docker.network.bridge.enable_ip_masquerade': String(settings.masquerade),
      'com.docker.network.bridge.host_binding_ipv4': settings.publishAddress || '0.0.0.0',
      'com.docker.network.bridge.name': bridge,
      'com.docker.network.driver.mtu': String(settings.mtu),
    },
    bridge,
    ownBridge: settings.bridge === null,
    v4,
    v6,
  };
  const isFreshChoice =
    settings.bridge === null && settings.bridgeAddress === null && settings.fixedCidr === null && stored?.v4?.subnet !== v4.subnet;
  return { record, isFreshChoice };
}

interface Surroundings {
  readonly networks: readonly TakenSubnet[];
  readonly host: readonly TakenSubnet[];
}

function planFamily(
  context: NetworkContext,
  family: Family,
  stored: NetworkSubnet | null,
  { networks, host }: Surroundings,
): NetworkSubnet {
  const option = optionsOf(context.settings, family);
  const address = option.address ?? deviceAddress(context.settings.bridge, family);
  const devices = [...networks, ...host.filter(({ isDevice }) => isDevice)];
  const named = address?.subnet ?? option.range;
  if (named !== null) {
    refuseOverlap(named, devices);
    return subnetOf(named, address?.address ?? null, option);
  }
  const all = [...networks, ...host].map((taken) => taken.subnet);
  const before = stored === null ? null : storedSubnet(stored.subnet);
  if (stored !== null && before !== null && !all.some((other) => overlaps(other, before)))
    return subnetOf(before, storedAddress(stored.gateway), option);
  const chosen = chooseSubnet(poolsFor(context.settings, context.daemonId, defaultBridgePools), family, all);
  if (chosen === null)
    throw invalid(
      `no IPv${family} subnet is free for the default bridge: name one by --bip, or give more by --default-address-pool, or use --bridge none`,
    );
  return subnetOf(chosen, null, option);
}

interface FamilyOptions {
  readonly address: AddressWithPrefix | null;
  readonly range: Subnet | null;
  readonly router: Address | null;
}

function optionsOf(settings: NetworkSettings, family: Family): FamilyOptions {
  const [address, range, router] =
    family === 4
      ? [settings.bridgeAddress, settings.fixedCidr, settings.defaultGateway]
      : [settings.bridgeAddress6, settings.fixedCidr6, settings.defaultGateway6];
  return {
    address: address === null ? null : parseCidr(address),
    range: range === null ? null : (parseCidr(range)?.subnet ?? null),
    router: router === null ? null : parseAddress(router),
  };
}

/** A bridge of the host's own keeps the address that it has. */
function deviceAddress(bridge: string | null, family: Family): AddressWithPrefix | null {
  if (bridge === null) return null;
  const found = networkInterfaces()[bridge]?.find((entry) => entry.family === `IPv${family}` && !entry.address.startsWith('fe80:'));
  return found?.cidr === undefined || found.cidr === null ? null : parseCidr(found.cidr);
}

function subnetOf(subnet: Subnet, gateway: Address | null, { range, router }: FamilyOptions): NetworkSubnet {
  const text = formatSubnet(subnet);
  if (range !== null && !containsSubnet(subnet, range))
    throw invalid(`--fixed-cidr ${formatSubnet(range)} does not lie in the subnet of the default bridge, ${text}`);
  if (router !== null && !contains(subnet, router))
    throw invalid(`--default-gateway ${formatAddress(router)} does not lie in the subnet of the default bridge, ${text}`);
  const own = gateway ?? firstUsable({ subnet, range: null, reserved: router === null ? [] : [router] });
  if (own === null) throw invalid(`the subnet of the default bridge, ${text}, has no address for the bridge itself`);
  return {
    subnet: text,
    range: range === null || formatSubnet(range) === text ? null : formatSubnet(range),
    gateway: formatAddress(own),
    router: router === null ? '' : formatAddress(router),
    auxiliary: {},
    named: false,
  };
}
