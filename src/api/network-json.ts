/** A network as Docker's JSON shows it, in the shape of the client's API version. Its addresses are plain or absent: newer clients refuse everything else. */
import type { EndpointState, NetworkView } from '../network/networks.ts';
import { formatTime } from '../wire/timestamps.ts';

/** `withContainers`: who is on it; a list leaves that out since API 1.28. */
export function networkJson(network: NetworkView, apiMinor: number, withContainers: boolean): object {
  return {
    Name: network.name,
    Id: network.id,
    Created: formatTime(network.createdAt),
    Scope: network.scope,
    Driver: network.driver,
    ...(apiMinor >= 48 ? { EnableIPv4: network.enableIPv4 } : {}),
    EnableIPv6: network.enableIPv6,
    IPAM: { Driver: network.ipam.driver, Options: network.ipam.options, Config: network.ipam.config },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: network.ingress,
    ConfigFrom: { Network: network.configFrom },
    ConfigOnly: network.configOnly,
    Containers: withContainers ? members(network) : {},
    Options: network.options,
    Labels: network.labels,
  };
}

function members({ endpoints }: NetworkView): object {
  return Object.fromEntries(Object.entries(endpoints).map(([id, { containerName, endpoint }]) => [id, member(containerName, endpoint)]));
}

function member(name: string, endpoint: EndpointState): object {
  return {
    Name: name,
    EndpointID: endpoint.endpointId,
    MacAddress: endpoint.macAddress,
    IPv4Address: withPrefix(endpoint.ipv4, endpoint.prefix4),
    IPv6Address: withPrefix(endpoint.ipv6, endpoint.prefix6),
  };
}

function withPrefix(address: string, prefix: number): string {
  return address === '' ? '' : `${address}/${prefix}`;
}
