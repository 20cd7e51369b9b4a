/**
 * One endpoint: its addresses are taken and everything about it is written down, for the worker and for inspect. Who carries the default routes is decided
 * later, when all endpoints of the container are known.
 */
import { randomBytes } from 'node:crypto';
import type { ContainerId } from '../base/brand.ts';
import { conflict, invalid } from '../base/errors.ts';
import type { AddressRange } from './address-range.ts';
import { commonOptions, ipvlanOptions, macvlanOptions } from './driver-options.ts';
import { checkEndpoint, type EndpointWishes } from './endpoint-settings.ts';
import { type Address, formatAddress, parseAddress } from './ip-address.ts';
import { leadsOut, optionsOfBridge } from './kernel-specs.ts';
import { macOf } from './mac-address.ts';
import type { EndpointAddress, EndpointSpec } from './net-calls.ts';
import type { NetworkContext } from './network-context.ts';
import type { EndpointRecord, NetworkRecord, NetworkSubnet } from './network-record.ts';
import type { Network } from './network-registry.ts';
import type { EndpointSettings } from './networks.ts';

/** BR_MAX_PORTS - 1 (net/bridge/br_private.h). */
const mostBridgePorts = 1023;

export interface EndpointOwner {
  readonly containerId: ContainerId;
  readonly containerName: string;
  readonly hostname: string;
}

/** Takes addresses; `releaseEndpoint` gives them back. `others`: endpoints that the container has already. */
export function planEndpoint(
  context: NetworkContext,
  network: Network,
  settings: EndpointSettings,
  owner: EndpointOwner,
  others: readonly EndpointRecord[],
): EndpointRecord {
  const { record } = network;
  const wishes = checkEndpoint(record, settings);
  if (record.driver === 'bridge' && network.members.size >= mostBridgePorts)
    throw conflict(`network ${record.name} is full: a bridge of the kernel has ${mostBridgePorts} ports, use a second network`);
  const interfaceName = wishes.interfaceName ?? freeInterfaceName(record, others);
  if (others.some(({ spec }) => spec.interfaceName === interfaceName))
    throw invalid(`two networks of container ${owner.containerName} want the interface name ${interfaceName}`);
  const v4 = takeAddress(network.ranges.v4, settings.IPAMConfig?.IPv4Address ?? '', record, context, owner);
  try {
    const v6 = takeAddress(network.ranges.v6, settings.IPAMConfig?.IPv6Address ?? '', record, context, owner);
    network.members.set(owner.containerId, owner.containerName);
    return endpointRecord(record, settings, wishes, { interfaceName, v4, v6 }, owner);
  } catch (thrown) {
    if (v4 !== null) network.ranges.v4?.release(v4);
    throw thrown;
  }
}

export function releaseEndpoint(context: NetworkContext, containerId: ContainerId, { networkId, spec }: EndpointRecord): void {
  const network = context.registry.get(networkId);
  const give = (range: AddressRange | null | undefined, text: string | undefined) => {
    const address = text === undefined ? null : parseAddress(text);
    if (address !== null) range?.release(address);
  };
  give(network?.ranges.v4, spec.v4?.address);
  give(network?.ranges.v6, spec.v6?.address);
  network?.members.delete(containerId);
}

/** Eight endpoints of one container are eth0 to eth7, whatever order they come in; a number that became free is used again. */
function freeInterfaceName(record: NetworkRecord, others: readonly EndpointRecord[]): string {
  const prefix = commonOptions(record.options).interfacePrefix;
  const taken = new Set(others.map(({ spec }) => spec.interfaceName));
  for (let number = 0; ; number++) if (!taken.has(`${prefix}${number}`)) return `${prefix}${number}`;
}

function takeAddress(
  range: AddressRange | null,
  fixed: string,
  record: NetworkRecord,
  context: NetworkContext,
  owner: EndpointOwner,
): Address | null {
  if (range === null) return null;
  const wanted = fixed === '' ? null : parseAddress(fixed);
  if (wanted === null) {
    const next = range.takeNext();
    if (next === null)
      throw conflict(`no available IPv${range.family} addresses on this network's address pools: ${record.name} (${record.id})`);
    return next;
  }
  if (range.take(wanted)) return wanted;
  const holder = holderOf(context, record, formatAddress(wanted));
  throw conflict(`cannot give ${fixed} to container ${owner.containerName} on network ${record.name}: Address already in use${holder}`);
}

function holderOf({ sandboxes }: NetworkContext, network: NetworkRecord, address: string): string {
  for (const { record } of sandboxes.values()) {
    const holds = record.endpoints.some(
      ({ networkId, spec }) => networkId === network.id && (spec.v4?.address === address || spec.v6?.address === address),
    );
    if (holds) return ` by container ${record.containerName}`;
  }
  const gateways = [network.v4?.gateway, network.v6?.gateway];
  if (gateways.includes(address)) return ' as the gateway';
  const name = Object.entries({ ...network.v4?.auxiliary, ...network.v6?.auxiliary }).find(([, text]) => text === address)?.[0];
  return name === undefined ? '' : ` as the auxiliary address ${name}`;
}

interface Chosen {
  readonly interfaceName: string;
  readonly v4: Address | null;
  readonly v6: Address | null;
}

function endpointRecord(
  record: NetworkRecord,
  settings: EndpointSettings,
  wishes: EndpointWishes,
  { interfaceName, v4, v6 }: Chosen,
  owner: EndpointOwner,
): EndpointRecord {
  const id = randomBytes(32).toString('hex');
  const names = dnsNames(record, settings, owner);
  const source = v4 ?? v6;
  const macAddress = wishes.macAddress ?? (record.driver === 'ipvlan' || source === null ? '' : macOf(source));
  const sysctls = Object.entries(wishes.sysctls).map(([key, value]) => [key.replace('.IFNAME.', `.${interfaceName}.`), value] as const);
  const spec: EndpointSpec = {
    id,
    networkId: record.id,
    link: linkOf(record),
    interfaceName,
    macAddress,
    mtu: commonOptions(record.options).mtu,
    v4: addressOf(record, record.v4, v4),
    v6: addressOf(record, record.v6, v6),
    linkLocal: wishes.linkLocal,
    sysctls: Object.fromEntries(sysctls),
    names,
  };
  const state = {
    networkId: record.id,
    endpointId: id,
    settings,
    macAddress,
    ipv4: spec.v4?.address ?? '',
    prefix4: spec.v4?.prefix ?? 0,
    gateway4: spec.v4?.gateway ?? '',
    ipv6: spec.v6?.address ?? '',
    prefix6: spec.v6?.prefix ?? 0,
    gateway6: spec.v6?.gateway ?? '',
    interfaceName,
    dnsNames: names,
  };
  return { networkId: record.id, spec, state };
}

/** In Docker's order; on the default bridge nobody is found by name. */
export function dnsNames(record: NetworkRecord, { Aliases }: EndpointSettings, owner: EndpointOwner): readonly string[] {
  if (record.predefined) return [];
  const names = [owner.containerName, ...(Aliases ?? []), owner.containerId.slice(0, 12), owner.hostname];
  return [...new Set(names.filter((name) => name !== ''))];
}

function linkOf(record: NetworkRecord): EndpointSpec['link'] {
  switch (record.driver) {
    case 'macvlan': {
      const { parent, mode } = macvlanOptions(record.options);
      return { kind: 'macvlan', parent, mode };
    }
    case 'ipvlan': {
      const { parent, mode, flag } = ipvlanOptions(record.options);
      return { kind: 'ipvlan', parent, mode, flag };
    }
    default:
      return { kind: 'bridge', bridge: record.bridge, isolated: !optionsOfBridge(record).icc };
  }
}

function addressOf(record: NetworkRecord, subnet: NetworkSubnet | null, address: Address | null): EndpointAddress | null {
  if (subnet === null || address === null) return null;
  const prefix = Number(subnet.subnet.split('/')[1]);
  return { address: formatAddress(address), prefix, gateway: gatewayOf(record, subnet), isDefaultGateway: false };
}

/** Nothing leads out of an internal network; ipvlan's layer 3 modes route by the device alone. */
function gatewayOf(record: NetworkRecord, { gateway, router }: NetworkSubnet): string {
  if (!leadsOut(record)) return '';
  if (record.driver === 'ipvlan' && ipvlanOptions(record.options).mode !== 'l2') return '';
  return router === '' ? gateway : router;
}
