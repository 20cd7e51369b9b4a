/** What the verbs of the net worker (one file each) share: its parts, and what it knows of every container's network. */
import { notFound } from '../../base/errors.ts';
import type { DnsServer } from '../dns/dns-server.ts';
import type { Firewall } from '../firewall/firewall.ts';
import type { BridgeSpec, DefaultGateways, DnsSpec, LentDevice, PortResult, SandboxResult } from '../net-calls.ts';
import type { PortTable } from '../ports/port-table.ts';
import type { EndpointLink } from './endpoint-links.ts';
import type { FormerFlows } from './former-flows.ts';
import type { HostNetwork } from './host-network.ts';
import type { NamespacePool } from './namespace-pool.ts';
import type { Parents } from './parents.ts';
import type { UsedLinks } from './used-links.ts';

export interface NetParts {
  readonly host: HostNetwork;
  readonly pool: NamespacePool;
  readonly used: UsedLinks;
  readonly parents: Parents;
  readonly flows: FormerFlows;
  readonly firewall: Firewall;
  readonly ports: PortTable;
  readonly dns: DnsServer;
  /** By network id. */
  readonly bridges: Map<string, BridgeSpec>;
  /** By container id. */
  readonly sandboxes: Map<string, Sandbox>;
}

/** The network of one container. Changed only by a verb that succeeds, or that puts it back. */
export interface Sandbox {
  readonly id: string;
  readonly name: string;
  /** Of the namespace. */
  readonly fd: number;
  /** By endpoint id. */
  readonly links: Map<string, EndpointLink>;
  gateways: DefaultGateways;
  /** Null: 127.0.0.11 is not served. */
  dns: SandboxDns | null;
  /** The table of ports has their sockets. */
  ports: readonly PortResult[];
  /** Interfaces of the host that are in it. */
  lent: readonly LentDevice[];
}

export interface SandboxDns {
  readonly spec: DnsSpec;
  readonly udp: number;
  readonly tcp: number;
}

export function knownSandbox({ sandboxes }: NetParts, id: string): Sandbox {
  const sandbox = sandboxes.get(id);
  if (!sandbox) throw notFound(`container ${id} has no network of its own`);
  return sandbox;
}

export function resultOf({ ports: table }: NetParts, { id, fd, links, dns, ports }: Sandbox): SandboxResult {
  const dnsKeep =
    dns === null
      ? []
      : [
          { label: 'dns-udp', fd: dns.udp },
          { label: 'dns-tcp', fd: dns.tcp },
        ];
  return {
    namespaceFd: fd,
    keep: [...dnsKeep, ...table.kept(id)],
    ports,
    endpoints: [...links.values()].map(({ spec, macAddress }) => ({ id: spec.id, macAddress })),
  };
}

export function addressesOf(links: Iterable<EndpointLink>): string[] {
  return [...links].flatMap(({ spec }) => [spec.v4, spec.v6].flatMap((one) => (one === null ? [] : [one.address])));
}
