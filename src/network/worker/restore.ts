/**
 * The start of a daemon: from what is in the kernel to what the records say. Running containers are taken over, the firewall is brought to their state, and
 * links of ours that belong to nobody (a daemon died between two steps, a container ended while none was there) are deleted, with their flows.
 */
import { errorText } from '../../base/errors.ts';
import { deleteFlowsWhere } from '../../linux/netlink/conntrack.ts';
import { deleteLink, type Link, listLinks } from '../../linux/netlink/links.ts';
import { NETLINK_ROUTE, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { inNetworkNamespace } from '../../linux/network-namespace.ts';
import { contains, parseAddress, parseSubnet, type Subnet } from '../ip-address.ts';
import type { RestoredSandbox, RestoreOutcome, RestoreState } from '../net-calls.ts';
import { adoptSandbox } from './adopt-sandbox.ts';
import { attempt } from './all-or-nothing.ts';
import { ensureBridgeLink } from './bridges.ts';
import { completeDefaultRoutes } from './default-routes.ts';
import { firewallEndpoint } from './endpoint-traces.ts';
import { ownerOfLink } from './host-network.ts';
import { reclaimDevices } from './lent-devices.ts';
import { addressesOf, type NetParts, resultOf, type Sandbox } from './net-parts.ts';

export async function restore(parts: NetParts, state: RestoreState): Promise<readonly RestoreOutcome[]> {
  const { log } = parts.host;
  for (const bridge of state.bridges) {
    parts.bridges.set(bridge.networkId, bridge);
    attempt(log, `restoring bridge ${bridge.bridge} of network ${bridge.networkName}`, () => ensureBridgeLink(parts.host, bridge));
  }
  for (const parent of state.parents)
    attempt(log, `restoring the parent interface of network ${parent.networkId}`, () => parts.parents.ensure(parent));
  const links = listLinks(parts.host.route);
  const outcomes: RestoreOutcome[] = [];
  for (const restored of state.sandboxes) outcomes.push(await adopt(parts, restored, links));
  reclaimDevices(parts, state.reclaimed ?? []);
  syncFirewall(parts);
  const removed = removeOwnerless(parts);
  if (removed) {
    attempt(log, 'deleting flows of former containers', () => forgetFlowsOfNobody(parts));
    for (const sandbox of parts.sandboxes.values())
      attempt(log, `restoring the default routes of container ${sandbox.id}`, () => completeRoutes(sandbox));
  }
  return outcomes;
}

/** A daemon died while the container joined or left a network, and its default route has gone with the interface. */
function completeRoutes({ fd, links, gateways }: Sandbox): void {
  const intact = new Map([...links].filter(([, { innerIndex }]) => innerIndex !== 0));
  const route = inNetworkNamespace(fd, () => openNetlink(NETLINK_ROUTE));
  try {
    completeDefaultRoutes({ fd, route, veth: null }, intact, gateways);
  } finally {
    route.close();
  }
}

async function adopt(parts: NetParts, restored: RestoredSandbox, links: readonly Link[]): Promise<RestoreOutcome> {
  const { id } = restored.spec;
  try {
    return { id, result: resultOf(parts, await adoptSandbox(parts, restored, links)) };
  } catch (thrown) {
    const problem = errorText(thrown);
    parts.host.log.error({ container: id, error: problem }, 'the network of a running container could not be taken over');
    return { id, problem };
  }
}

function syncFirewall({ firewall, bridges, sandboxes }: NetParts): void {
  const all = [...sandboxes.values()];
  firewall.sync({
    bridges: [...bridges.values()],
    endpoints: all.flatMap(({ links }) => [...links.values()].flatMap(({ spec }) => firewallEndpoint(spec) ?? [])),
    ports: all.flatMap(({ ports }) => ports),
  });
}

/** Links of the host that carry our mark and belong to nothing. */
export function ownerlessLinks(parts: NetParts): readonly Link[] {
  const { host } = parts;
  const endpoints = new Set([...parts.sandboxes.values()].flatMap(({ links }) => [...links.keys()]));
  const isOwned = (link: Link): boolean => {
    const owner = ownerOfLink(host.settings, link.alias);
    if (owner === null) return true;
    if (owner.role === 'endpoint') return endpoints.has(owner.id);
    if (owner.role === 'network') return parts.bridges.get(owner.id)?.bridge === link.name;
    if (owner.role === 'parent') return parts.parents.uses(link.name);
    return parts.pool.owns(link.index);
  };
  return listLinks(host.route).filter((link) => !isOwned(link));
}

/** Whether there were any. */
export function removeOwnerless(parts: NetParts): boolean {
  const { host, used } = parts;
  const ownerless = ownerlessLinks(parts);
  if (ownerless.length === 0) return false;
  host.log.info({ links: ownerless.map(({ name }) => name) }, 'network interfaces that belong to no container or network are deleted');
  const veths = ownerless.filter(({ kind }) => kind === 'veth');
  attempt(host.log, 'deleting interfaces of former containers', () => {
    used.retire(
      veths.map(({ index }) => index),
      false,
    );
    used.sweep();
  });
  for (const link of ownerless.filter(({ kind }) => kind !== 'veth')) {
    const [error] = host.route.requestAll([deleteLink(link.index)], `delete interface ${link.name}`);
    if (error && error.errnoName !== 'ENODEV')
      host.log.error({ interface: link.name, error: error.message }, 'an interface of ours could not be deleted');
  }
  return true;
}

/** Of addresses of our networks that no container has. */
function forgetFlowsOfNobody({ host, bridges, sandboxes }: NetParts): void {
  const subnets = [...bridges.values()].flatMap(({ v4, v6 }) =>
    [v4, v6].flatMap((family) => (family === null ? [] : (parseSubnet(family.subnet) ?? []))),
  );
  const gateways = new Set([...bridges.values()].flatMap(({ v4, v6 }) => [v4?.gateway, v6?.gateway]));
  const owned = new Set([...sandboxes.values()].flatMap(({ links }) => addressesOf(links.values())));
  const isNobodys = (address: string): boolean => !owned.has(address) && !gateways.has(address) && inOneOf(subnets, address);
  for (const family of host.ipv6 ? ([4, 6] as const) : ([4] as const)) {
    deleteFlowsWhere(host.netfilter, family, ({ original, reply }) => isNobodys(original.source) || isNobodys(reply.source));
  }
}

function inOneOf(subnets: readonly Subnet[], text: string): boolean {
  const address = parseAddress(text);
  return address !== null && subnets.some((subnet) => contains(subnet, address));
}
