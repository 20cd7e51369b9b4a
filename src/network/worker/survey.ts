/** For audits: the worker's knowledge against the kernel's, and putting right what differs without touching what is in use. */
import { readLink } from '../../linux/netlink/links.ts';
import type { LostEndpoint, NetSurvey } from '../net-calls.ts';
import { attempt } from './all-or-nothing.ts';
import { ensureBridgeLink } from './bridges.ts';
import { type EndpointLink, rejoinBridge } from './endpoint-links.ts';
import type { NetParts } from './net-parts.ts';
import { ownerlessLinks, removeOwnerless } from './restore.ts';

export function survey(parts: NetParts): NetSurvey {
  const { host, bridges, sandboxes, dns, ports, firewall, used } = parts;
  // What is taken out of service already waits to be deleted: it is no stray.
  used.sweep();
  return {
    ownerlessLinks: ownerlessLinks(parts).map(({ name }) => name),
    missingBridges: [...bridges.values()].filter(({ bridge }) => readLink(host.route, bridge) === null),
    lostEndpoints: [...sandboxes.values()].flatMap(({ id, links }) =>
      [...links.values()].flatMap((link) => {
        const how = whatIsLost(parts, link);
        return how === null ? [] : [{ sandboxId: id, interfaceName: link.spec.interfaceName, how }];
      }),
    ),
    table: firewall.compare(),
    sandboxes: [...sandboxes.keys()],
    dnsSandboxes: dns.sandboxIds(),
    portOwners: ports.owners(),
  };
}

/** Sandboxes are removed by their own call: whoever knows that nobody has them does that first. */
export function mend(parts: NetParts): void {
  const { host, bridges, sandboxes, dns, ports, firewall } = parts;
  removeOwnerless(parts);
  for (const bridge of bridges.values())
    if (readLink(host.route, bridge.bridge) === null)
      attempt(host.log, `making bridge ${bridge.bridge} of network ${bridge.networkName} again`, () => ensureBridgeLink(host, bridge));
  for (const link of [...sandboxes.values()].flatMap(({ links }) => [...links.values()]))
    if (whatIsLost(parts, link) === 'off its bridge')
      attempt(host.log, `connecting ${link.spec.interfaceName} to its bridge again`, () => rejoinBridge(host, link));
  for (const id of dns.sandboxIds()) if (!sandboxes.has(id)) dns.removeSandbox(id);
  for (const { sandboxId } of ports.owners()) if (!sandboxes.has(sandboxId)) ports.release(sandboxId, 'all');
  firewall.mend();
}

function whatIsLost({ host }: NetParts, { spec, hostIndex }: EndpointLink): LostEndpoint['how'] | null {
  if (spec.link.kind !== 'bridge') return null;
  const link = hostIndex === null ? null : readLink(host.route, hostIndex);
  if (link === null) return 'deleted';
  return link.master === readLink(host.route, spec.link.bridge)?.index ? null : 'off its bridge';
}
