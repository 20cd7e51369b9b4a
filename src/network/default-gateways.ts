/**
 * Which of a container's networks its default routes lead to: the highest priority, of equal ones the first name; an internal network never. Pure.
 * Published ports lead to the same endpoint, because answers leave there.
 */
import { ipvlanOptions } from './driver-options.ts';
import { leadsOut } from './kernel-specs.ts';
import type { DefaultGateways, EndpointAddress } from './net-calls.ts';
import type { EndpointRecord, NetworkRecord } from './network-record.ts';

export interface PlacedEndpoint {
  readonly endpoint: EndpointRecord;
  readonly network: NetworkRecord;
}

/** In the order in which they are asked for a gateway, and their names are searched. */
export function byPriority(endpoints: readonly PlacedEndpoint[]): readonly PlacedEndpoint[] {
  return [...endpoints].sort(
    (a, b) => b.endpoint.state.settings.GwPriority - a.endpoint.state.settings.GwPriority || (a.network.name < b.network.name ? -1 : 1),
  );
}

export function chooseGateways(endpoints: readonly PlacedEndpoint[]): DefaultGateways {
  const first = (addressOf: (endpoint: EndpointRecord) => EndpointAddress | null) =>
    byPriority(endpoints).find(({ endpoint, network }) => canLeadOut(addressOf(endpoint), network))?.endpoint.spec.id ?? null;
  return { v4: first(({ spec }) => spec.v4), v6: first(({ spec }) => spec.v6) };
}

function canLeadOut(address: EndpointAddress | null, network: NetworkRecord): boolean {
  if (address === null || !leadsOut(network)) return false;
  return address.gateway !== '' || (network.driver === 'ipvlan' && ipvlanOptions(network.options).mode !== 'l2');
}

/** The same endpoints, marked. */
export function withGateways(endpoints: readonly EndpointRecord[], gateways: DefaultGateways): readonly EndpointRecord[] {
  const mark = (address: EndpointAddress | null, isDefaultGateway: boolean) => (address === null ? null : { ...address, isDefaultGateway });
  return endpoints.map((endpoint) => ({
    ...endpoint,
    spec: {
      ...endpoint.spec,
      v4: mark(endpoint.spec.v4, gateways.v4 === endpoint.spec.id),
      v6: mark(endpoint.spec.v6, gateways.v6 === endpoint.spec.id),
    },
  }));
}
