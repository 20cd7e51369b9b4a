/** What an endpoint leaves beside its interface: its elements in the firewall, its names in DNS. */
import type { EndpointAddresses } from '../firewall/firewall.ts';
import type { PortResult } from '../net-calls.ts';
import type { Undo } from './all-or-nothing.ts';
import type { EndpointLink } from './endpoint-links.ts';
import type { NetParts } from './net-parts.ts';

export function addTraces(parts: NetParts, sandboxId: string, { spec }: EndpointLink, undo: Undo): void {
  const addresses = firewallEndpoint(spec);
  if (addresses) {
    parts.firewall.addEndpoint(addresses);
    undo('removing an endpoint from the firewall', () => parts.firewall.removeEndpoint(addresses));
  }
  if (spec.names.length === 0) return;
  parts.dns.addEndpoint({
    id: spec.id,
    networkId: spec.networkId,
    sandboxId,
    names: spec.names,
    ipv4: spec.v4?.address ?? '',
    ipv6: spec.v6?.address ?? '',
  });
  undo('removing names from DNS', () => parts.dns.removeEndpoint(spec.id));
}

export function removeTraces(parts: NetParts, { spec }: EndpointLink): void {
  parts.dns.removeEndpoint(spec.id);
  const addresses = firewallEndpoint(spec);
  if (addresses) parts.firewall.removeEndpoint(addresses);
}

/** Null: the firewall has nothing to do with it. */
export function firewallEndpoint({ link, v4, v6 }: EndpointLink['spec']): EndpointAddresses | null {
  return link.kind === 'bridge' ? { bridge: link.bridge, ipv4: v4?.address ?? '', ipv6: v6?.address ?? '' } : null;
}

/** Published ports by the bridge that they lead to. */
export function portsByBridge(links: Iterable<EndpointLink>, ports: readonly PortResult[]): Map<string, PortResult[]> {
  const bridgeOf = new Map<string, string>();
  for (const { spec } of links) {
    if (spec.link.kind !== 'bridge') continue;
    for (const one of [spec.v4, spec.v6]) if (one !== null) bridgeOf.set(one.address, spec.link.bridge);
  }
  return Map.groupBy(
    ports.filter(({ targetIp }) => bridgeOf.has(targetIp)),
    ({ targetIp }) => bridgeOf.get(targetIp) ?? '',
  );
}
