/**
 * Tells when the host gets a route into one of our networks (a VPN that came up): containers there would then be unreachable, or it. The socket is looked
 * at every second; Node cannot wait for a netlink socket.
 */
import { readLink } from '../../linux/netlink/links.ts';
import { NETLINK_ROUTE, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { addedRoute, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE } from '../../linux/netlink/routes.ts';
import { overlaps, parseSubnet } from '../ip-address.ts';
import type { BridgeSpec, NetNotice } from '../net-calls.ts';
import { type HostNetwork, ownerOfLink } from './host-network.ts';
import { routedSubnet } from './host-subnets.ts';

const intervalMs = 1000;

export interface RouteWatch {
  close(): void;
}

export function watchRoutes(host: HostNetwork, bridges: () => Iterable<BridgeSpec>, tell: (notice: NetNotice) => void): RouteWatch {
  const socket = openNetlink(NETLINK_ROUTE, { groups: host.ipv6 ? [RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE] : [RTNLGRP_IPV4_ROUTE] });

  /** What was lost with an overflow is not told: the next network that is made asks for all routes anyway. */
  function look(): void {
    const told = new Set<string>();
    for (const message of socket.receive().messages) {
      const route = addedRoute(message);
      const subnet = route && routedSubnet(route);
      if (!route || !subnet) continue;
      for (const index of route.interfaces) {
        if (told.has(`${subnet} ${index}`)) continue;
        told.add(`${subnet} ${index}`);
        report(subnet, index);
      }
    }
  }

  function report(subnet: string, index: number): void {
    const touched = [...bridges()].filter((bridge) => overlapsBridge(bridge, subnet));
    if (touched.length === 0) return;
    const link = readLink(host.route, index);
    // Bridges of ours, and those of the host that are networks, have this very route.
    if (link === null || ownerOfLink(host.settings, link.alias) !== null) return;
    for (const { networkId, bridge } of touched) if (bridge !== link.name) tell({ kind: 'overlap', networkId, subnet, device: link.name });
  }

  const timer = setInterval(look, intervalMs).unref();
  return {
    close() {
      clearInterval(timer);
      socket.close();
    },
  };
}

function overlapsBridge({ v4, v6 }: BridgeSpec, subnet: string): boolean {
  const other = parseSubnet(subnet);
  return [v4, v6].some((family) => {
    const own = family === null ? null : parseSubnet(family.subnet);
    return own !== null && other !== null && overlaps(own, other);
  });
}
