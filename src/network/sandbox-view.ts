/** What is shown of a container's network, and of everything that is published. Pure. */
import type { LiveSandbox } from './network-context.ts';
import type { NetworkRegistry } from './network-registry.ts';
import type { PortBinding, PublishedPortOwner, Sandbox } from './networks.ts';
import { isEverywhere } from './port-plan.ts';

/** Null: its kernel side could not be taken over. */
export function sandboxView(registry: NetworkRegistry, { record, kernel, embeddedDns }: LiveSandbox): Sandbox | null {
  if (kernel === null) return null;
  const endpoints = record.endpoints.map(({ networkId, state }) => [registry.get(networkId)?.record.name ?? networkId, state] as const);
  return {
    containerId: record.containerId,
    namespacePath: `/proc/${process.pid}/fd/${kernel.namespaceFd}`,
    keep: kernel.keep,
    endpoints: Object.fromEntries(endpoints),
    ports: portsView(record),
    resolver: embeddedDns ? { kind: 'embedded', address: '127.0.0.11' } : { kind: 'host' },
  };
}

function portsView({ exposed, published }: LiveSandbox['record']): Sandbox['ports'] {
  const ports = new Map<string, PortBinding[] | null>(exposed.map((key) => [key, null]));
  for (const { containerPort, protocol, hostIp, hostPort } of sorted(published)) {
    const key = `${containerPort}/${protocol}`;
    const bindings = ports.get(key) ?? [];
    if (!bindings.some((other) => other.HostIp === hostIp && other.HostPort === String(hostPort)))
      bindings.push({ HostIp: hostIp, HostPort: String(hostPort) });
    ports.set(key, bindings);
  }
  return Object.fromEntries(ports);
}

/** IPv4 before IPv6: clients take the first. */
function sorted(published: LiveSandbox['record']['published']): LiveSandbox['record']['published'] {
  return [...published].sort((a, b) => Number(a.hostIp.includes(':')) - Number(b.hostIp.includes(':')));
}

export function publishedPorts(registry: NetworkRegistry, sandboxes: Iterable<LiveSandbox>): readonly PublishedPortOwner[] {
  return [...sandboxes].flatMap(({ record }) =>
    sorted(record.published).map((port) => {
      const endpoint = record.endpoints.find(({ spec }) => spec.v4?.address === port.targetIp || spec.v6?.address === port.targetIp);
      return {
        containerId: record.containerId,
        containerName: record.containerName,
        networkName: registry.get(endpoint?.networkId ?? '')?.record.name ?? '',
        protocol: port.protocol,
        hostIp: port.hostIp,
        hostPort: port.hostPort,
        containerIp: port.targetIp,
        containerPort: port.containerPort,
        how: port.mode,
        reachableFrom: reachableFrom(port.hostIp, registry),
      };
    }),
  );
}

/** Loopback is the host's own; the address of a bridge is known to its containers and the host alone. */
function reachableFrom(hostIp: string, registry: NetworkRegistry): PublishedPortOwner['reachableFrom'] {
  if (hostIp.startsWith('127.') || hostIp === '::1') return ['host'];
  const isBridge = registry.all().some(({ record }) => record.v4?.gateway === hostIp || record.v6?.gateway === hostIp);
  return isBridge && !isEverywhere(hostIp) ? ['host', 'containers'] : ['host', 'containers', 'network'];
}
