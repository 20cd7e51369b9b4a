/**
 * A container that ran on while no daemon was there: its namespace is opened by its process, and the descriptors that its monitor kept are taken back. What
 * is missing is made anew where that is possible; only without its namespace it cannot be taken over.
 */
import { EngineError, errorText } from '../../base/errors.ts';
import { closeDescriptor } from '../../linux/file-calls.ts';
import { type Link, listLinks } from '../../linux/netlink/links.ts';
import { NETLINK_ROUTE, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { inNetworkNamespace, isHomeNamespace, openNetworkNamespace } from '../../linux/network-namespace.ts';
import { openProcess, takeDescriptor } from '../../linux/pidfd.ts';
import type { PortResult, RestoredSandbox } from '../net-calls.ts';
import { labelOf } from '../ports/port-table.ts';
import { allOrNothing, type Undo } from './all-or-nothing.ts';
import { gatewaysOf } from './default-routes.ts';
import type { EndpointLink } from './endpoint-links.ts';
import { ownerOfLink } from './host-network.ts';
import type { NetParts, Sandbox } from './net-parts.ts';
import { openDnsSockets, startDns } from './sandbox-dns.ts';

/** `hostLinks`: all of the host. The firewall is not touched. */
export async function adoptSandbox(parts: NetParts, restored: RestoredSandbox, hostLinks: readonly Link[]): Promise<Sandbox> {
  return await allOrNothing(parts.host.log, async (undo) => {
    const { spec } = restored;
    const fd = openContainerNamespace(restored.pid);
    undo('closing a network namespace', () => closeDescriptor(fd));
    const links = findLinks(parts, restored, fd, hostLinks);
    const sandbox: Sandbox = {
      id: spec.id,
      name: spec.name,
      fd,
      links,
      gateways: gatewaysOf(links.values()),
      dns: null,
      ports: [],
      lent: restored.lent ?? [],
    };
    const kept = takeKept(parts, restored);
    const [udp, tcp] = [take(kept, 'dns-udp'), take(kept, 'dns-tcp')];
    await adoptDns(parts, sandbox, restored, udp, tcp, undo);
    adoptPorts(parts, sandbox, restored.ports, kept);
    undo('releasing ports', () => parts.ports.release(spec.id, 'all'));
    for (const { spec: endpoint } of links.values()) {
      if (endpoint.names.length === 0) continue;
      const addresses = { ipv4: endpoint.v4?.address ?? '', ipv6: endpoint.v6?.address ?? '' };
      parts.dns.addEndpoint({ id: endpoint.id, networkId: endpoint.networkId, sandboxId: spec.id, names: endpoint.names, ...addresses });
    }
    parts.sandboxes.set(spec.id, sandbox);
    return sandbox;
  });
}

function openContainerNamespace(pid: number): number {
  const fd = openNetworkNamespace(pid);
  if (!isHomeNamespace(fd)) return fd;
  closeDescriptor(fd);
  throw new EngineError('system', `process ${pid} is in the host's network namespace: it is not the container that was there`);
}

function findLinks(parts: NetParts, { spec }: RestoredSandbox, fd: number, hostLinks: readonly Link[]): Map<string, EndpointLink> {
  const { host } = parts;
  const route = inNetworkNamespace(fd, () => openNetlink(NETLINK_ROUTE));
  try {
    const inner = new Map(listLinks(route).map((link) => [link.name, link]));
    const found = new Map<string, EndpointLink>();
    for (const endpoint of spec.endpoints) {
      const link = inner.get(endpoint.interfaceName);
      const outer = hostLinks.find(({ alias }) => ownerOfLink(host.settings, alias)?.id === endpoint.id);
      if (!link || (!outer && endpoint.link.kind === 'bridge')) {
        host.log.warn(
          { container: spec.id, interface: endpoint.interfaceName, endpoint: endpoint.id },
          'an interface of a running container is gone; disconnect the container from the network and connect it again',
        );
      }
      found.set(endpoint.id, {
        spec: endpoint,
        innerIndex: link?.index ?? 0,
        hostIndex: outer?.index ?? null,
        macAddress: link?.address ?? endpoint.macAddress,
      });
    }
    return found;
  } finally {
    route.close();
  }
}

/** Without them things go on, with new sockets: the container notices at most that a few queries were lost. */
function takeKept({ host }: NetParts, { spec, kept }: RestoredSandbox): Map<string, number> {
  const taken = new Map<string, number>();
  if (kept.descriptors.length === 0) return taken;
  try {
    const process = openProcess(kept.pid);
    try {
      for (const { label, fd } of kept.descriptors) taken.set(label, takeDescriptor(process, fd));
    } finally {
      closeDescriptor(process);
    }
  } catch (thrown) {
    host.log.warn(
      { container: spec.id, error: errorText(thrown) },
      'descriptors that were kept for a running container could not be taken back',
    );
  }
  return taken;
}

async function adoptDns(
  parts: NetParts,
  sandbox: Sandbox,
  { spec }: RestoredSandbox,
  udp: number | undefined,
  tcp: number | undefined,
  undo: Undo,
): Promise<void> {
  if (spec.dns !== null && udp !== undefined && tcp !== undefined) return await startDns(parts, sandbox, spec.dns, { udp, tcp }, undo);
  for (const fd of [udp, tcp]) if (fd !== undefined) closeDescriptor(fd);
  if (spec.dns !== null) await startDns(parts, sandbox, spec.dns, openDnsSockets(sandbox.fd), undo);
}

function adoptPorts(parts: NetParts, sandbox: Sandbox, ports: readonly PortResult[], kept: ReadonlyMap<string, number>): void {
  const wanted = new Set(ports.map(labelOf));
  for (const [label, fd] of kept) if (!wanted.has(label)) closeDescriptor(fd);
  parts.ports.adopt(sandbox.id, ports, kept);
  sandbox.ports = ports;
}

function take(kept: Map<string, number>, label: string): number | undefined {
  const fd = kept.get(label);
  kept.delete(label);
  return fd;
}
