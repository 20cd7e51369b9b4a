/** Networks, who is on them, and every port that is published. */
import { invalid, notFound } from '../../base/errors.ts';
import type { NetworkView, PublishedPortOwner } from '../../network/networks.ts';
import { decodeNetworkConnect, decodeNetworkCreate, decodeNetworkDisconnect } from '../../wire/network-requests.ts';
import type { Exchange } from '../exchange.ts';
import { withLeaseLabels } from '../lease-headers.ts';
import { networkJson } from '../network-json.ts';
import type { Method, Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

type Handle = (exchange: Exchange, services: ApiServices) => Promise<void>;

/** method, pattern, what its body is, handler */
const routes: readonly (readonly [Method, string, Route['body'], Handle])[] = [
  ['GET', '/networks', 'any', list],
  ['GET', '/networks/', 'any', list],
  ['GET', '/networks/{id}', 'any', inspect],
  ['POST', '/networks/create', 'json', create],
  ['DELETE', '/networks/{id}', 'any', remove],
  ['POST', '/networks/prune', 'any', prune],
  ['POST', '/networks/{id}/connect', 'json', connect],
  ['POST', '/networks/{id}/disconnect', 'json', disconnect],
  ['GET', '/ports', 'any', ports],
];

export function networkRoutes(services: ApiServices): readonly Route[] {
  return routes.map(([method, pattern, body, handle]) => ({
    method,
    pattern,
    body,
    handle: (exchange: Exchange) => handle(exchange, services),
  }));
}

async function list(exchange: Exchange, { networks }: ApiServices): Promise<void> {
  const found = networks.list(exchange.filters());
  exchange.sendJson(
    200,
    found.map((network) => networkJson(network, exchange.apiMinor, exchange.apiMinor < 28)),
  );
}

async function inspect(exchange: Exchange, { networks }: ApiServices): Promise<void> {
  const network = networks.inspect(exchange.parameter('id'));
  requireScope(exchange.text('scope') ?? '', network, exchange.parameter('id'));
  exchange.sendJson(200, networkJson(network, exchange.apiMinor, true));
}

/** All networks are local here. */
function requireScope(scope: string, network: NetworkView, reference: string): void {
  if (scope === '' || scope === network.scope) return;
  if (scope === 'swarm' || scope === 'global') throw notFound(`network ${reference} not found`);
  throw invalid(`invalid network scope: ${JSON.stringify(scope)} (local, global or swarm)`);
}

async function create(exchange: Exchange, { networks }: ApiServices): Promise<void> {
  const request = decodeNetworkCreate(await exchange.json(), exchange.apiMinor);
  const { id, warning } = await networks.create({ ...request, labels: withLeaseLabels(exchange, request.labels) });
  exchange.sendJson(201, { Id: id, Warning: warning });
}

async function remove(exchange: Exchange, { networks }: ApiServices): Promise<void> {
  await networks.remove(exchange.parameter('id'));
  exchange.sendEmpty(204);
}

async function prune(exchange: Exchange, { networks }: ApiServices): Promise<void> {
  const removed = await networks.prune(exchange.filters());
  exchange.sendJson(200, { NetworksDeleted: removed.length === 0 ? null : removed });
}

async function connect(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const { container, settings } = decodeNetworkConnect(await exchange.json());
  await containers.connectNetwork(container, exchange.parameter('id'), settings);
  exchange.sendEmpty(200);
}

async function disconnect(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const { container, force } = decodeNetworkDisconnect(await exchange.json());
  await containers.disconnectNetwork(container, exchange.parameter('id'), { force });
  exchange.sendEmpty(200);
}

async function ports(exchange: Exchange, { networks }: ApiServices): Promise<void> {
  exchange.sendJson(200, networks.publishedPorts().map(publishedPortJson));
}

function publishedPortJson(port: PublishedPortOwner): object {
  return {
    ContainerID: port.containerId,
    ContainerName: port.containerName,
    Network: port.networkName,
    Protocol: port.protocol,
    HostIp: port.hostIp,
    HostPort: port.hostPort,
    ContainerIp: port.containerIp,
    ContainerPort: port.containerPort,
    How: port.how,
    ReachableFrom: port.reachableFrom,
  };
}
