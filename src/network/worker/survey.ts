/** For audits: the worker's knowledge against the kernel's, and putting right what differs without touching what is in use. */
import { readLink } from '../../linux/netlink/links.ts';
import type { NetSurvey } from '../net-calls.ts';
import { attempt } from './all-or-nothing.ts';
import { ensureBridgeLink } from './bridges.ts';
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
      [...links.values()]
        .filter(({ spec, hostIndex }) => spec.link.kind === 'bridge' && (hostIndex === null || readLink(host.route, hostIndex) === null))
        .map(({ spec }) => ({ sandboxId: id, interfaceName: spec.interfaceName })),
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
  for (const id of dns.sandboxIds()) if (!sandboxes.has(id)) dns.removeSandbox(id);
  for (const { sandboxId } of ports.owners()) if (!sandboxes.has(sandboxId)) ports.release(sandboxId, 'all');
  firewall.mend();
}
