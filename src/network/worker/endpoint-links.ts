/**
 * The interface of one endpoint: made in the container's namespace, named, addressed, set up; for a bridge also its other end on the host.
 *
 * An endpoint without IPv6 has IPv6 off on its interface, so there is no link-local address and nothing is believed of router advertisements. Default
 * routes are not made here (`default-routes.ts`): they belong to the namespace, not to an endpoint.
 */

import { writeFileSync } from 'node:fs';
import { EngineError, errorText, invalid } from '../../base/errors.ts';
import { ipToBytes } from '../../base/ip-bytes.ts';
import { addAddress, type InterfaceAddress, scopeGlobal, scopeLink } from '../../linux/netlink/addresses.ts';
import { changeBridgePort, changeLink, deleteLink, type LinkKind, newLink, readLink } from '../../linux/netlink/links.ts';
import { type BatchMessage, carryOut, type NetlinkSocket } from '../../linux/netlink/netlink-socket.ts';
import { inNetworkNamespace } from '../../linux/network-namespace.ts';
import type { EndpointSpec } from '../net-calls.ts';
import { type HostNetwork, linkAlias, writeInterfaceSysctl } from './host-network.ts';
import { makeVeth, type OpenNamespace, preparedInterfaceName, type Veth } from './namespace-pool.ts';
import type { Parents } from './parents.ts';
import type { UsedLinks } from './used-links.ts';

export interface EndpointLink {
  readonly spec: EndpointSpec;
  /** Index inside the namespace. */
  readonly innerIndex: number;
  /** Index of the host's end; null: it has none (macvlan), or it was lost. */
  readonly hostIndex: number | null;
  readonly macAddress: string;
}

export interface EndpointLinkContext {
  readonly host: HostNetwork;
  readonly parents: Parents;
  readonly used: UsedLinks;
}

/** After an error nothing of it is left. The prepared pair of a namespace serves its first endpoint on a bridge, if it has the right name. */
export function addEndpointLink(
  context: EndpointLinkContext,
  namespace: OpenNamespace,
  spec: EndpointSpec,
  prepared: Veth | null,
): EndpointLink {
  return spec.link.kind === 'bridge'
    ? addBridged(context, namespace, spec, spec.interfaceName === preparedInterfaceName ? prepared : null)
    : addStacked(context, namespace, spec);
}

/** From a container that runs on. */
export function removeEndpointLink({ used }: EndpointLinkContext, { route }: OpenNamespace, link: EndpointLink): void {
  if (link.hostIndex !== null) used.retire([link.hostIndex], false);
  // Gone already, by somebody else's hand: a container may always leave a network.
  if (link.innerIndex === 0) return;
  // The other end of a veth goes with its group soon; at once it only has to be out of the way: its routes go with `down`, and its name is free for the
  // next network. In this order, because kernels before 6.2 rename nothing that is up.
  const messages =
    link.hostIndex === null
      ? [deleteLink(link.innerIndex)]
      : [changeLink(link.innerIndex, { up: false }), changeLink(link.innerIndex, { name: `old${link.innerIndex}` })];
  carryOut(route, messages, `remove interface ${link.spec.interfaceName}`);
}

function addBridged(context: EndpointLinkContext, namespace: OpenNamespace, spec: EndpointSpec, prepared: Veth | null): EndpointLink {
  const { host, used } = context;
  const alias = linkAlias(host.settings, 'endpoint', spec.id);
  const veth = prepared ?? makeVeth(host, namespace, spec.interfaceName, spec.mtu, alias);
  try {
    writeSysctls(host, namespace, spec);
    carryOut(namespace.route, interfaceMessages(spec, veth.innerIndex, veth.mtu), `set up interface ${spec.interfaceName}`);
    attachToBridge(host, veth, spec, alias);
    if (announces(spec)) announce(host, namespace, spec, veth);
    return { spec, innerIndex: veth.innerIndex, hostIndex: veth.hostIndex, macAddress: spec.macAddress || veth.macAddress };
  } catch (thrown) {
    used.retire([veth.hostIndex], false);
    throw thrown;
  }
}

/** To the neighbours, who may know another by this address. What is sent before both ends run is lost, and nobody says it again. */
function announce(host: HostNetwork, namespace: OpenNamespace, spec: EndpointSpec, { innerIndex, hostIndex }: Veth): void {
  waitUntilRunning(host.route, hostIndex);
  waitUntilRunning(namespace.route, innerIndex);
  carryOut(namespace.route, [changeLink(innerIndex, { address: spec.macAddress })], `announce ${spec.macAddress}`);
}

/** It takes less than a millisecond, as a rule. */
function waitUntilRunning(route: NetlinkSocket, index: number): void {
  const deadline = performance.now() + longestWaitMs;
  while (readLink(route, index)?.running === false && performance.now() < deadline) Atomics.wait(pause, 0, 0, 1);
}

const longestWaitMs = 500;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** Somebody took its host end off the bridge, or the bridge away. */
export function rejoinBridge(host: HostNetwork, { spec, hostIndex, innerIndex, macAddress }: EndpointLink): void {
  if (hostIndex === null) return;
  attachToBridge(host, { hostIndex, innerIndex, macAddress, mtu: spec.mtu }, spec, linkAlias(host.settings, 'endpoint', spec.id));
}

/** Last of all, so that nobody meets a half-made container. */
function attachToBridge({ route }: HostNetwork, { hostIndex, mtu }: Veth, spec: EndpointSpec, alias: string): void {
  if (spec.link.kind !== 'bridge') return;
  const bridge = readLink(route, spec.link.bridge);
  if (bridge === null)
    throw new EngineError('system', `bridge ${spec.link.bridge} is gone; remove the network and make it again, or restart the daemon`);
  carryOut(
    route,
    [
      changeLink(hostIndex, { alias, master: bridge.index, up: true, ...(mtu === spec.mtu ? {} : { mtu: spec.mtu }) }),
      // With bridge-nf-call-iptables on, a container that calls its own published port needs the hairpin.
      changeBridgePort(hostIndex, { hairpin: true, isolated: spec.link.isolated }),
    ],
    `connect to bridge ${spec.link.bridge}`,
  );
}

function addStacked(context: EndpointLinkContext, namespace: OpenNamespace, spec: EndpointSpec): EndpointLink {
  const { host, parents } = context;
  const kind = stackedKind(spec, parents);
  carryOut(
    host.route,
    [newLink(kind, { name: spec.interfaceName, namespace: namespace.fd, mtu: spec.mtu })],
    `make ${kind.kind} interface ${spec.interfaceName}`,
  );
  try {
    const link = readLink(namespace.route, spec.interfaceName);
    if (link === null) throw new EngineError('system', `interface ${spec.interfaceName} went away while it was made`);
    writeSysctls(host, namespace, spec);
    carryOut(namespace.route, interfaceMessages(spec, link.index, spec.mtu), `set up interface ${spec.interfaceName}`);
    return {
      spec,
      innerIndex: link.index,
      hostIndex: null,
      macAddress: kind.kind === 'macvlan' && spec.macAddress ? spec.macAddress : link.address,
    };
  } catch (thrown) {
    namespace.route.requestAll([deleteLink(spec.interfaceName)], `delete interface ${spec.interfaceName}`);
    throw thrown;
  }
}

function stackedKind({ networkId, link }: EndpointSpec, parents: Parents): LinkKind {
  if (link.kind === 'bridge') throw new EngineError('system', 'a bridge is no parent');
  const parent = parents.indexOf(networkId, link.parent);
  return link.kind === 'macvlan'
    ? { kind: 'macvlan', parent, mode: link.mode }
    : { kind: 'ipvlan', parent, mode: link.mode, flag: link.flag };
}

/** In one go: settings, up, addresses. */
function interfaceMessages(spec: EndpointSpec, index: number, mtu: number): BatchMessage[] {
  // ipvlan has the address of its parent.
  const address = spec.macAddress === '' || spec.link.kind === 'ipvlan' ? {} : { address: spec.macAddress };
  return [
    changeLink(index, { ...address, ...(mtu === spec.mtu ? {} : { mtu: spec.mtu }), up: true }),
    ...addressesOf(spec, index).map(addAddress),
  ];
}

function addressesOf({ v4, v6, linkLocal }: EndpointSpec, index: number): InterfaceAddress[] {
  const global = [v4, v6].flatMap((one) => (one === null ? [] : [{ index, address: one.address, prefix: one.prefix, scope: scopeGlobal }]));
  return [...global, ...linkLocal.map((text) => linkLocalAddress(text, index))];
}

/** `169.254.1.1`, or with a prefix of its own. */
function linkLocalAddress(text: string, index: number): InterfaceAddress {
  const [address = '', prefix] = text.split('/');
  const usual = ipToBytes(address).length === 4 ? 16 : 64;
  return { index, address, prefix: prefix === undefined ? usual : Number(prefix), scope: scopeLink };
}

/** While it is still down: what the interface does when it comes up depends on them. */
function writeSysctls(host: HostNetwork, namespace: OpenNamespace, spec: EndpointSpec): void {
  const entries = Object.entries(spec.sysctls);
  if (!host.ipv6 && entries.length === 0 && !announces(spec)) return;
  inNetworkNamespace(namespace.fd, () => {
    if (host.ipv6) writeIpv6Sysctls(spec);
    if (announces(spec)) writeInterfaceSysctl('ipv4', spec.interfaceName, 'arp_notify', '1');
    for (const [key, value] of entries) writeUserSysctl(key, value, spec.interfaceName);
  });
}

function writeIpv6Sysctls({ interfaceName, v6, linkLocal, link }: EndpointSpec): void {
  if (v6 === null && !linkLocal.some((text) => text.includes(':'))) {
    writeInterfaceSysctl('ipv6', interfaceName, 'disable_ipv6', '1');
    return;
  }
  writeInterfaceSysctl('ipv6', interfaceName, 'accept_ra', '0');
  // Our bridges hold no second of an address; waiting for one would keep the link-local address from use for 1.5 s.
  if (link.kind === 'bridge') writeInterfaceSysctl('ipv6', interfaceName, 'accept_dad', '0');
}

/** `net.ipv4.conf.eth0.log_martians`. The name of the interface may hold dots itself. */
function writeUserSysctl(key: string, value: string, interfaceName: string): void {
  const [before, after, ...rest] = key.split(`.${interfaceName}.`);
  const plain = /^[\w-]+(\.[\w-]+)*$/;
  if (
    before === undefined ||
    after === undefined ||
    rest.length > 0 ||
    !plain.test(before) ||
    !plain.test(after) ||
    !before.startsWith('net.')
  ) {
    throw invalid(`invalid sysctl ${key}: expected net.<family>.<group>.${interfaceName}.<name>`);
  }
  const path = ['/proc/sys', ...before.split('.'), interfaceName, ...after.split('.')].join('/');
  try {
    writeFileSync(path, value);
  } catch (thrown) {
    throw invalid(`cannot set sysctl ${key} to ${value}: ${errorText(thrown)}`, { cause: thrown });
  }
}

/**
 * An address that comes back with another MAC than it had stays unreachable for neighbours that remember it, for tens of seconds. Ours derives from the IPv4
 * address and so is always the same; one that was chosen is announced, by setting it again while the interface is up.
 */
function announces({ macAddress, v4, link }: EndpointSpec): boolean {
  if (macAddress === '' || v4 === null || link.kind !== 'bridge') return false;
  return (
    macAddress.toLowerCase() !==
    `02:42:${ipToBytes(v4.address)
      .toString('hex')
      .replace(/(..)(?=.)/g, '$1:')}`
  );
}
