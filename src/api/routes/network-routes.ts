/** Networks as far as they exist: `none` and `host` can be listed and inspected; everything that would make or change one comes with issue 4. */
import { conflict, EngineError, notFound, notImplemented } from '../../base/errors.ts';
import type { ContainerView } from '../../containers/containers.ts';
import { booleanFilter, type Filters, requireKnownFilters } from '../../wire/filters.ts';
import { formatTime } from '../../wire/timestamps.ts';
import type { BuiltinNetwork } from '../builtin-networks.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

const listFilters = new Set(['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type']);
const pruneFilters = new Set(['label', 'label!', 'until']);

export function networkRoutes(services: ApiServices): readonly Route[] {
  const { networks, containers } = services;
  const list = async (exchange: Exchange) => {
    const filters = exchange.filters();
    requireKnownFilters(filters, listFilters);
    exchange.sendJson(
      200,
      networks.filter((network) => isListed(network, filters)).map((network) => networkJson(network, [], exchange.apiMinor)),
    );
  };
  return [
    { method: 'GET', pattern: '/networks', body: 'any', handle: list },
    { method: 'GET', pattern: '/networks/', body: 'any', handle: list },
    {
      method: 'GET',
      pattern: '/networks/{id}',
      body: 'any',
      async handle(exchange) {
        const network = findNetwork(networks, exchange.parameter('id'), exchange.text('scope'));
        const running = await containers.list({ all: false, limit: null, size: false, filters: {} });
        exchange.sendJson(200, networkJson(network, running, exchange.apiMinor));
      },
    },
    {
      method: 'DELETE',
      pattern: '/networks/{id}',
      body: 'any',
      async handle(exchange) {
        const network = findNetwork(networks, exchange.parameter('id'), null);
        throw new EngineError('forbidden', `${network.name} is a pre-defined network and cannot be removed`);
      },
    },
    {
      method: 'POST',
      pattern: '/networks/prune',
      body: 'any',
      async handle(exchange) {
        requireKnownFilters(exchange.filters(), pruneFilters);
        exchange.sendJson(200, { NetworksDeleted: null });
      },
    },
    ...['connect', 'disconnect'].map(
      (verb): Route => ({
        method: 'POST',
        pattern: `/networks/{id}/${verb}`,
        body: 'json',
        async handle(exchange) {
          const network = findNetwork(networks, exchange.parameter('id'), null);
          await exchange.json();
          throw verb === 'connect'
            ? notImplemented(`connecting a container to network ${network.name} is not built yet: it comes with networks (issue 4)`)
            : conflict(`container cannot be disconnected from ${network.name} network: networks are chosen when a container is created`);
        },
      }),
    ),
  ];
}

function findNetwork(networks: readonly BuiltinNetwork[], reference: string, scope: string | null): BuiltinNetwork {
  const found =
    networks.find(({ name, id }) => name === reference || id === reference) ??
    (/^[0-9a-f]{3,}$/.test(reference) ? networks.find(({ id }) => id.startsWith(reference)) : undefined);
  if (found === undefined || (scope !== null && scope !== '' && scope !== 'local')) throw notFound(`network ${reference} not found`);
  return found;
}

function isListed(network: BuiltinNetwork, filters: Filters): boolean {
  const any = (key: string, test: (value: string) => boolean) =>
    filters[key] === undefined || filters[key].length === 0 || filters[key].some(test);
  return (
    any('driver', (value) => value === network.driver) &&
    any('id', (value) => network.id.startsWith(value)) &&
    any('name', (value) => network.name.includes(value)) &&
    any('scope', (value) => value === 'local') &&
    any('type', (value) => value === 'builtin') &&
    any('label', () => false) &&
    // A built-in network is never dangling: it cannot be pruned.
    booleanFilter(filters, 'dangling') !== true
  );
}

function networkJson(network: BuiltinNetwork, running: readonly ContainerView[], apiMinor: number): object {
  const members = running.filter((container) => Object.hasOwn(container.networks, network.name));
  return {
    Name: network.name,
    Id: network.id,
    Created: formatTime(network.createdAt),
    Scope: 'local',
    Driver: network.driver,
    ...(apiMinor >= 48 ? { EnableIPv4: true } : {}),
    EnableIPv6: false,
    IPAM: { Driver: 'default', Options: null, Config: [] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: Object.fromEntries(
      members.map(({ id, name }) => [id, { Name: name, EndpointID: '', MacAddress: '', IPv4Address: '', IPv6Address: '' }]),
    ),
    Options: {},
    Labels: {},
  };
}
