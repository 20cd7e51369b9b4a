/** Every subnet that the host knows, for those who choose addresses for new networks; and notices of routes that come up later. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hasErrnoCode } from '../../base/errors.ts';
import { listAddresses } from '../../linux/netlink/addresses.ts';
import { listLinks } from '../../linux/netlink/links.ts';
import { listRoutes, type Route, tableLocal } from '../../linux/netlink/routes.ts';
import { parseResolvConf } from '../dns/resolv-conf.ts';
import { formatSubnet, parseAddress, subnetAround } from '../ip-address.ts';
import type { HostSubnet } from '../net-calls.ts';
import { type HostNetwork, ownerOfLink } from './host-network.ts';

const rtnLocal = 2;
const rtnMulticast = 5;

export function listHostSubnets(host: HostNetwork): HostSubnet[] {
  const links = new Map(
    listLinks(host.route).map((link) => [link.index, { name: link.name, ours: ownerOfLink(host.settings, link.alias) !== null }]),
  );
  const found = new Map<string, HostSubnet>();
  const add = (subnet: string | null, index: number): void => {
    if (subnet === null) return;
    const link = links.get(index);
    found.set(`${subnet} ${index}`, { subnet, device: link?.name ?? '', index, ours: link?.ours ?? false });
  };
  for (const route of listRoutes(host.route)) {
    for (const index of route.interfaces.length === 0 ? [0] : route.interfaces) add(routedSubnet(route), index);
  }
  for (const { index, address, prefix } of listAddresses(host.route)) add(subnetOf(address, prefix), index);
  for (const server of hostNameservers(host.settings.resolvConf)) add(subnetOf(server, server.includes(':') ? 128 : 32), 0);
  return [...found.values()];
}

/** Null: the default route, or one that leads nowhere a container network could be. */
export function routedSubnet({ destination, prefix, table, type }: Route): string | null {
  if (table === tableLocal || (type >= rtnLocal && type <= rtnMulticast)) return null;
  return subnetOf(destination, prefix);
}

/** Canonical. Null where every host has the same, so that it says nothing: everything, loopback, link-local, multicast. */
function subnetOf(text: string, prefix: number): string | null {
  const address = parseAddress(text);
  if (address === null || prefix === 0) return null;
  const everywhere = address.family === 4 ? /^(127\.|169\.254\.)/.test(text) : /^(::1$|fe[89ab]|ff)/i.test(text);
  return everywhere ? null : formatSubnet(subnetAround(address, prefix));
}

function hostNameservers(path: string): string[] {
  try {
    return parseResolvConf(readFileSync(path, 'utf8')).nameservers.filter((server) => isIP(server) !== 0 && !server.includes('%'));
  } catch (thrown) {
    if (hasErrnoCode(thrown, 'ENOENT')) return [];
    throw thrown;
  }
}
