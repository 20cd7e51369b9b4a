/** A running container joins and leaves networks. */
import { conflict, notFound } from '../../base/errors.ts';
import { NETLINK_ROUTE, openNetlink } from '../../linux/netlink/netlink-socket.ts';
import { inNetworkNamespace } from '../../linux/network-namespace.ts';
import type { DefaultGateways, DnsSpec, EndpointSpec } from '../net-calls.ts';
import { allOrNothing, attempt } from './all-or-nothing.ts';
import { withdrawPorts } from './change-ports.ts';
import { changeDefaultRoutes } from './default-routes.ts';
import { addEndpointLink, removeEndpointLink } from './endpoint-links.ts';
import { addTraces, removeTraces } from './endpoint-traces.ts';
import type { OpenNamespace } from './namespace-pool.ts';
import { addressesOf, type NetParts, type Sandbox } from './net-parts.ts';
import { changeDns } from './sandbox-dns.ts';

export async function addEndpoint(
  parts: NetParts,
  sandbox: Sandbox,
  spec: EndpointSpec,
  dns: DnsSpec | null,
  gateways: DefaultGateways,
): Promise<void> {
  if (sandbox.links.has(spec.id)) throw conflict(`container ${sandbox.name} has endpoint ${spec.id} already`);
  await inside(sandbox, (namespace) =>
    allOrNothing(parts.host.log, async (undo) => {
      const link = addEndpointLink(parts, namespace, spec, null);
      sandbox.links.set(spec.id, link);
      undo('removing an interface', () => {
        sandbox.links.delete(spec.id);
        removeEndpointLink(parts, namespace, link);
      });
      parts.flows.settle(addressesOf([link]));
      addTraces(parts, sandbox.id, link, undo);
      await changeDns(parts, sandbox, dns, undo);
      const before = sandbox.gateways;
      undo('changing the default routes back', () => changeDefaultRoutes(namespace, sandbox.links, gateways, before));
      changeDefaultRoutes(namespace, sandbox.links, before, gateways);
      sandbox.gateways = gateways;
    }),
  );
}

/** Once the interface is gone it is gone: what fails after that is logged. */
export async function removeEndpoint(
  parts: NetParts,
  sandbox: Sandbox,
  endpointId: string,
  dns: DnsSpec | null,
  gateways: DefaultGateways,
): Promise<void> {
  const link = sandbox.links.get(endpointId);
  if (!link) throw notFound(`container ${sandbox.name} has no endpoint ${endpointId}`);
  const { log } = parts.host;
  const addresses = addressesOf([link]);
  await inside(sandbox, async (namespace) => {
    removeEndpointLink(parts, namespace, link);
    const gone = sandbox.ports.filter(({ targetIp }) => addresses.includes(targetIp));
    attempt(log, `unpublishing ports of container ${sandbox.id}`, () => withdrawPorts(parts, sandbox, gone));
    attempt(log, `removing endpoint ${endpointId}`, () => removeTraces(parts, link));
    sandbox.links.delete(endpointId);
    parts.flows.forgetAddresses(addresses);
    const present = withoutEndpoint(sandbox.gateways, endpointId);
    attempt(log, `changing the default routes of container ${sandbox.id}`, () =>
      changeDefaultRoutes(namespace, sandbox.links, present, gateways),
    );
    sandbox.gateways = gateways;
    await allOrNothing(log, (undo) => changeDns(parts, sandbox, dns, undo));
  });
}

/** The kernel removed the routes with the interface. */
function withoutEndpoint({ v4, v6 }: DefaultGateways, id: string): DefaultGateways {
  return { v4: v4 === id ? null : v4, v6: v6 === id ? null : v6 };
}

async function inside<T>({ fd }: Sandbox, work: (namespace: OpenNamespace) => Promise<T>): Promise<T> {
  const route = inNetworkNamespace(fd, () => openNetlink(NETLINK_ROUTE));
  try {
    return await work({ fd, route, veth: null });
  } finally {
    route.close();
  }
}
