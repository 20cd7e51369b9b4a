/** What is shown of a network. Pure. */
import type { NetworkContext } from './network-context.ts';
import type { NetworkRecord, NetworkSubnet } from './network-record.ts';
import type { Network } from './network-registry.ts';
import type { IpamConfig, NetworkView } from './networks.ts';

export function networkView({ sandboxes }: NetworkContext, { record }: Network): NetworkView {
  const endpoints = [...sandboxes.values()].flatMap((sandbox) => {
    const endpoint = sandbox.record.endpoints.find(({ networkId }) => networkId === record.id);
    if (endpoint === undefined) return [];
    return [[sandbox.record.containerId, { containerName: sandbox.record.containerName, endpoint: endpoint.state }] as const];
  });
  return {
    id: record.id,
    name: record.name,
    createdAt: new Date(record.createdAt),
    scope: 'local',
    driver: record.driver,
    enableIPv4: record.enableIPv4,
    enableIPv6: record.enableIPv6,
    internal: record.internal,
    attachable: record.attachable,
    ingress: false,
    configOnly: record.configOnly,
    configFrom: record.configFrom,
    ipam: { ...record.ipam, config: ipamConfig(record) },
    options: record.options,
    labels: record.labels,
    endpoints: Object.fromEntries(endpoints),
    predefined: record.predefined,
  };
}

/** As in Docker: what a person gave, as it was given; of a family that nobody spoke of, what it got. */
function ipamConfig({ ipam, v4, v6 }: NetworkRecord): readonly IpamConfig[] {
  const given = ipam.config.filter(({ Subnet = '' }) => Subnet !== '');
  return [...given, ...(v4?.named === false ? [chosen(v4)] : []), ...(v6?.named === false ? [chosen(v6)] : [])];
}

function chosen({ subnet, range, gateway, router }: NetworkSubnet): IpamConfig {
  return {
    Subnet: subnet,
    ...(range === null ? {} : { IPRange: range }),
    ...(gateway === '' ? {} : { Gateway: gateway }),
    ...(router === '' ? {} : { AuxiliaryAddresses: { DefaultGatewayIPv4: router } }),
  };
}
