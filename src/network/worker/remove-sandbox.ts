/**
 * The end of a container's network: nothing leads to it any more when this returns. The kernel destroys the namespace by itself, once the last that holds it
 * lets go. What fails on the way is logged, and the rest is done.
 */
import { closeDescriptor } from '../../linux/file-calls.ts';
import { changeLink } from '../../linux/netlink/links.ts';
import { carryOut, NETLINK_ROUTE, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { inNetworkNamespace } from '../../linux/network-namespace.ts';
import { attempt } from './all-or-nothing.ts';
import { withdrawPorts } from './change-ports.ts';
import { removeTraces } from './endpoint-traces.ts';
import { returnDevices } from './lent-devices.ts';
import { addressesOf, type NetParts, type Sandbox } from './net-parts.ts';

export function removeSandbox(parts: NetParts, id: string): void {
  const sandbox = parts.sandboxes.get(id);
  if (!sandbox) return;
  parts.sandboxes.delete(id);
  const { log } = parts.host;
  const links = [...sandbox.links.values()];
  attempt(log, `giving the network interfaces of container ${id} back`, () => returnDevices(parts, sandbox));
  attempt(log, `unpublishing the ports of container ${id}`, () => withdrawPorts(parts, sandbox, sandbox.ports));
  for (const link of links) attempt(log, `removing endpoint ${link.spec.id}`, () => removeTraces(parts, link));
  attempt(log, `stopping DNS of container ${id}`, () => parts.dns.removeSandbox(id));
  attempt(log, `disconnecting container ${id}`, () =>
    parts.used.retire(
      links.flatMap(({ hostIndex }) => hostIndex ?? []),
      true,
    ),
  );
  attempt(log, `disconnecting container ${id}`, () => silenceStacked(sandbox));
  parts.flows.forgetAddresses(addressesOf(links));
  attempt(log, `closing the network namespace of container ${id}`, () => closeDescriptor(sandbox.fd));
}

/** A macvlan or ipvlan interface would answer on the host's network until the kernel has destroyed the namespace. */
function silenceStacked({ fd, links }: Sandbox): void {
  const stacked = [...links.values()].filter(({ spec }) => spec.link.kind !== 'bridge');
  if (stacked.length === 0) return;
  const route = inNetworkNamespace(fd, () => openNetlink(NETLINK_ROUTE));
  try {
    carryOut(
      route,
      stacked.map(({ innerIndex }) => changeLink(innerIndex, { up: false })),
      'set interfaces down',
    );
  } finally {
    route.close();
  }
}
