/**
 * The bridges of networks: made with an address of their own (MAC and IP), brought to what the network says, taken down.
 *
 * On a bridge whose network has no IPv6, IPv6 is off: else the host would be reachable there by link-local addresses, and would believe router
 * advertisements of containers. `route_localnet` lets 127.0.0.1 of the host be translated to a container; without our rules, which keep strangers from
 * using that, it stays off.
 */
import { createHash } from 'node:crypto';
import { conflict, EngineError, notFound } from '../../base/errors.ts';
import { addAddress, deleteAddress, type InterfaceAddress, listAddresses, scopeGlobal } from '../../linux/netlink/addresses.ts';
import { changeLink, deleteLink, type Link, newLink, readLink } from '../../linux/netlink/links.ts';
import { carryOut } from '../../linux/netlink/netlink-socket.ts';
import type { BridgeSpec } from '../net-calls.ts';
import { type HostNetwork, linkAlias, ownerOfLink, writeInterfaceSysctl } from './host-network.ts';
import { enableForwarding } from './ip-forwarding.ts';

/** Makes the link, or brings it to this state. What was made by a call that fails is gone. */
export function ensureBridgeLink(host: HostNetwork, spec: BridgeSpec): void {
  const existing = readLink(host.route, spec.bridge);
  if (existing) refuseForeign(host, spec, existing);
  else if (!spec.own) throw notFound(`bridge ${spec.bridge} of network ${spec.networkName} does not exist`);
  const unmarked = existing ? null : makeBridge(host, spec);
  try {
    if (unmarked) throw unmarked;
    configure(host, spec);
  } catch (thrown) {
    if (!existing) host.route.requestAll([deleteLink(spec.bridge)], `delete bridge ${spec.bridge}`);
    throw thrown;
  }
}

/** One that is gone already is fine; one that was there before us stays. */
export function removeBridgeLink(host: HostNetwork, spec: BridgeSpec): void {
  if (!spec.own) return;
  const [error] = host.route.requestAll([deleteLink(spec.bridge)], `delete bridge ${spec.bridge}`);
  if (error && error.errnoName !== 'ENODEV') throw error;
}

function refuseForeign(host: HostNetwork, spec: BridgeSpec, link: Link): void {
  if (link.kind !== 'bridge') {
    throw conflict(`cannot use ${spec.bridge} for network ${spec.networkName}: an interface of this name exists and is not a bridge`);
  }
  const owner = ownerOfLink(host.settings, link.alias);
  if (spec.own && owner?.role !== 'network') {
    throw conflict(
      `cannot make bridge ${spec.bridge} for network ${spec.networkName}: there is one that is not ours; choose another with --opt com.docker.network.bridge.name`,
    );
  }
}

/** In one go with its mark: a daemon that dies between both would leave a bridge that nobody knows. Tells why it could not be marked. */
function makeBridge(host: HostNetwork, spec: BridgeSpec): Error | null {
  if (!host.drivers.bridge) {
    throw new EngineError('not-implemented', `cannot make network ${spec.networkName}: this kernel has no bridge driver (module "bridge")`);
  }
  const [made, marked] = host.route.requestAll(
    [
      newLink({ kind: 'bridge' }, { name: spec.bridge, address: stableMacAddress(spec.networkId), mtu: spec.mtu }),
      changeLink(spec.bridge, { alias: linkAlias(host.settings, 'network', spec.networkId) }),
    ],
    `make bridge ${spec.bridge}`,
  );
  if (!made) return marked ?? null;
  // Somebody made one of that name since we looked: it must not have our mark.
  if (!marked) host.route.requestAll([changeLink(spec.bridge, { alias: '' })], `leave ${spec.bridge} alone`);
  throw made;
}

function configure(host: HostNetwork, spec: BridgeSpec): void {
  if (spec.own) writeSysctls(host, spec);
  if (host.settings.firewall && spec.v4 !== null) writeInterfaceSysctl('ipv4', spec.bridge, 'route_localnet', '1');
  const link = readLink(host.route, spec.bridge);
  if (link === null) throw new EngineError('system', `bridge ${spec.bridge} went away while it was set up`);
  const mine = spec.own
    ? { alias: linkAlias(host.settings, 'network', spec.networkId), ...(link.mtu === spec.mtu ? {} : { mtu: spec.mtu }) }
    : {};
  const wanted = wantedAddresses(spec, link.index);
  const present = listAddresses(host.route, link.index).filter(({ scope }) => scope === scopeGlobal);
  const superfluous = spec.own ? present.filter((one) => !wanted.some((other) => sameAddress(one, other))) : [];
  const missing = wanted.filter((one) => !present.some((other) => sameAddress(one, other)));
  carryOut(
    host.route,
    [...superfluous.map(deleteAddress), changeLink(link.index, { ...mine, up: true }), ...missing.map(addAddress)],
    `set up bridge ${spec.bridge}`,
  );
  if (host.settings.ipForward && !spec.internal) {
    if (spec.v4 !== null) enableForwarding(4, host.log);
    if (spec.v6 !== null && host.ipv6) enableForwarding(6, host.log);
  }
}

function writeSysctls(host: HostNetwork, spec: BridgeSpec): void {
  if (!host.ipv6) return;
  // Before it is up, when addresses would come into being.
  writeInterfaceSysctl('ipv6', spec.bridge, 'accept_ra', '0');
  writeInterfaceSysctl('ipv6', spec.bridge, 'disable_ipv6', spec.v6 === null ? '1' : '0');
}

function wantedAddresses({ v4, v6 }: BridgeSpec, index: number): InterfaceAddress[] {
  return [v4, v6].flatMap((family) =>
    family !== null && family.gateway !== '' ? [{ index, address: family.gateway, prefix: family.prefix, scope: scopeGlobal }] : [],
  );
}

function sameAddress(a: InterfaceAddress, b: InterfaceAddress): boolean {
  return a.address === b.address && a.prefix === b.prefix;
}

/** Locally administered. The same at every start, so that neighbours that know it stay right. */
function stableMacAddress(networkId: string): string {
  const digest = createHash('sha256').update(networkId).digest();
  return `02:42:${[...digest.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
}
