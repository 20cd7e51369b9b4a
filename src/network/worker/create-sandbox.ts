/**
 * A container's whole network, ready to be joined: namespace, interfaces, routes, firewall, names, DNS, ports. From a prepared namespace it takes well under
 * a millisecond. Published ports come last, so that nobody is led to a container that is not complete.
 */
import { conflict } from '../../base/errors.ts';
import type { EndpointSpec, SandboxSpec } from '../net-calls.ts';
import { allOrNothing, type Undo } from './all-or-nothing.ts';
import { publishPorts } from './change-ports.ts';
import { changeDefaultRoutes, gatewaysOf, noGateways } from './default-routes.ts';
import { addEndpointLink, type EndpointLink } from './endpoint-links.ts';
import { addTraces } from './endpoint-traces.ts';
import { closeNamespace, type OpenNamespace, preparedInterfaceName } from './namespace-pool.ts';
import { addressesOf, type NetParts, type Sandbox } from './net-parts.ts';
import { changeDns } from './sandbox-dns.ts';

export async function createSandbox(parts: NetParts, spec: SandboxSpec): Promise<Sandbox> {
  if (parts.sandboxes.has(spec.id)) throw conflict(`container ${spec.name} has its network already`);
  return await allOrNothing(parts.host.log, async (undo) => {
    const namespace = parts.pool.take(spec.endpoints.some(takesPreparedVeth));
    undo('closing a network namespace', () => closeNamespace(namespace));
    const links = makeLinks(parts, namespace, spec, undo);
    parts.flows.settle(addressesOf(links.values()));
    const gateways = gatewaysOf(links.values());
    changeDefaultRoutes(namespace, links, noGateways, gateways);
    const sandbox: Sandbox = { id: spec.id, name: spec.name, fd: namespace.fd, links, gateways, dns: null, ports: [], lent: [] };
    if (spec.dns !== null) await changeDns(parts, sandbox, spec.dns, undo);
    for (const link of links.values()) addTraces(parts, spec.id, link, undo);
    publishPorts(parts, sandbox, spec.ports, undo);
    namespace.route.close();
    parts.sandboxes.set(spec.id, sandbox);
    return sandbox;
  });
}

function makeLinks(parts: NetParts, namespace: OpenNamespace, spec: SandboxSpec, undo: Undo): Map<string, EndpointLink> {
  const links = new Map<string, EndpointLink>();
  let { veth } = namespace;
  // Before anything else: also when making the first interface fails, the namespace's end of it must not keep the host's alive.
  const prepared = veth?.hostIndex;
  if (prepared !== undefined) undo('taking an interface out of service', () => parts.used.retire([prepared], true));
  for (const endpoint of spec.endpoints) {
    const link = addEndpointLink(parts, namespace, endpoint, veth);
    if (link.hostIndex === veth?.hostIndex) veth = null;
    links.set(endpoint.id, link);
    const { hostIndex } = link;
    if (hostIndex !== null && hostIndex !== prepared)
      undo('taking an interface out of service', () => parts.used.retire([hostIndex], true));
  }
  return links;
}

function takesPreparedVeth({ link, interfaceName }: EndpointSpec): boolean {
  return link.kind === 'bridge' && interfaceName === preparedInterfaceName;
}
