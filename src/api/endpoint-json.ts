/** `EndpointSettings` in answers: what a container asked of a network, and what it got. */
import type { EndpointState } from '../network/networks.ts';

export function endpointJson(endpoint: EndpointState, aliases: readonly string[] | null, apiMinor: number): object {
  const { settings } = endpoint;
  return {
    IPAMConfig: settings.IPAMConfig,
    Links: settings.Links,
    Aliases: aliases,
    // Since 1.44 the address asked for is shown before there is one.
    MacAddress: endpoint.macAddress === '' && apiMinor >= 44 ? settings.MacAddress : endpoint.macAddress,
    DriverOpts: settings.DriverOpts,
    ...(apiMinor >= 48 ? { GwPriority: settings.GwPriority } : {}),
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.endpointId,
    Gateway: endpoint.gateway4,
    IPAddress: endpoint.ipv4,
    IPPrefixLen: endpoint.prefix4,
    IPv6Gateway: endpoint.gateway6,
    GlobalIPv6Address: endpoint.ipv6,
    GlobalIPv6PrefixLen: endpoint.prefix6,
    ...(apiMinor >= 44 ? { DNSNames: endpoint.dnsNames.length === 0 ? null : endpoint.dnsNames } : {}),
  };
}

/** A list of containers leaves out what was asked for, but for addresses. */
export function listedEndpointJson(endpoint: EndpointState, apiMinor: number): object {
  const asked = { ...endpoint.settings, Links: null, DriverOpts: null };
  return endpointJson({ ...endpoint, settings: asked }, null, apiMinor);
}
