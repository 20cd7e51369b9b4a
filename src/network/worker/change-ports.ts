/** Ports of a container: reserved, published, withdrawn. First the socket that holds the host's port, then the rule; back in the other order. */
import { errorText } from '../../base/errors.ts';
import type { PortResult, PortSpec } from '../net-calls.ts';
import { allOrNothing, attempt, type Undo } from './all-or-nothing.ts';
import type { EndpointLink } from './endpoint-links.ts';
import { portsByBridge } from './endpoint-traces.ts';
import type { NetParts, Sandbox } from './net-parts.ts';

export function publishPorts(parts: NetParts, sandbox: Sandbox, specs: readonly PortSpec[], undo: Undo): void {
  if (specs.length === 0) return;
  const results = parts.ports.reserve(
    sandbox.id,
    specs.map((spec) => withAddresses(spec, sandbox.links)),
  );
  undo('releasing ports', () => parts.ports.release(sandbox.id, results));
  for (const [bridge, list] of portsByBridge(sandbox.links.values(), results)) {
    parts.firewall.publish(list, bridge);
    undo('unpublishing ports', () => parts.firewall.unpublish(list, bridge));
  }
  const before = sandbox.ports;
  sandbox.ports = [...before, ...results];
  undo('forgetting ports', () => {
    sandbox.ports = before;
  });
  parts.flows.forgetPorts(results);
}

export function withdrawPorts(parts: NetParts, sandbox: Sandbox, ports: readonly PortResult[]): void {
  if (ports.length === 0) return;
  for (const [bridge, list] of portsByBridge(sandbox.links.values(), ports)) parts.firewall.unpublish(list, bridge);
  parts.ports.release(sandbox.id, ports);
  sandbox.ports = sandbox.ports.filter((port) => !ports.some((other) => samePort(port, other)));
  parts.flows.forgetPorts(ports);
}

/** What is withdrawn comes back when what is to be added cannot be. */
export async function changePorts(
  parts: NetParts,
  sandbox: Sandbox,
  add: readonly PortSpec[],
  remove: readonly PortResult[],
): Promise<void> {
  const withdrawn = sandbox.ports.filter((port) => remove.some((other) => samePort(port, other)));
  withdrawPorts(parts, sandbox, withdrawn);
  try {
    await allOrNothing(parts.host.log, (undo) => publishPorts(parts, sandbox, add, undo));
  } catch (thrown) {
    republish(parts, sandbox, withdrawn);
    throw thrown;
  }
}

function republish(parts: NetParts, sandbox: Sandbox, ports: readonly PortResult[]): void {
  try {
    parts.ports.adopt(sandbox.id, ports, new Map());
    for (const [bridge, list] of portsByBridge(sandbox.links.values(), ports)) parts.firewall.publish(list, bridge);
    sandbox.ports = [...sandbox.ports, ...ports];
  } catch (thrown) {
    parts.host.log.error(
      { container: sandbox.id, error: errorText(thrown) },
      'ports that were withdrawn for a change that failed could not be published again',
    );
    attempt(parts.host.log, 'releasing ports', () => parts.ports.release(sandbox.id, ports));
  }
}

/** The service names endpoints; from here on ports lead to addresses. */
function withAddresses(spec: PortSpec, links: ReadonlyMap<string, EndpointLink>): PortSpec {
  const address = (id: string | null, family: 'v4' | 'v6'): string | null =>
    id === null ? null : (links.get(id)?.spec[family]?.address ?? null);
  return { ...spec, target4: address(spec.target4, 'v4'), target6: address(spec.target6, 'v6') };
}

export function samePort(a: PortResult, b: PortResult): boolean {
  return a.protocol === b.protocol && a.hostPort === b.hostPort && a.hostIp === b.hostIp && a.containerPort === b.containerPort;
}
