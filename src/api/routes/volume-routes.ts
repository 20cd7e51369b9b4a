/** Volumes: Docker's list, create, inspect, remove and prune; beyond Docker rename, clone, export and import. */
import { EngineError } from '../../base/errors.ts';
import { decodeVolumeCopy, decodeVolumeCreate } from '../../wire/volume-requests.ts';
import type { Exchange } from '../exchange.ts';
import { withLeaseLabels } from '../lease-headers.ts';
import type { Method, Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';
import { volumeJson } from '../volume-json.ts';

type Handle = (exchange: Exchange, services: ApiServices) => Promise<void>;

/** method, pattern, what its body is, handler */
const routes: readonly (readonly [Method, string, Route['body'], Handle])[] = [
  ['GET', '/volumes', 'any', list],
  ['POST', '/volumes/create', 'json', create],
  ['POST', '/volumes/prune', 'any', prune],
  ['GET', '/volumes/{name}', 'any', inspect],
  ['PUT', '/volumes/{name}', 'json', updateCluster],
  ['DELETE', '/volumes/{name}', 'any', remove],
  ['POST', '/volumes/{name}/rename', 'json', rename],
  ['POST', '/volumes/{name}/clone', 'json', clone],
  ['GET', '/volumes/{name}/export', 'any', exportTar],
  ['PUT', '/volumes/{name}/import', 'any', importTar],
];

export function volumeRoutes(services: ApiServices): readonly Route[] {
  return routes.map(([method, pattern, body, handle]) => ({
    method,
    pattern,
    body,
    handle: (exchange: Exchange) => handle(exchange, services),
  }));
}

async function list(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  const size = exchange.flag('size');
  const found = await volumes.list(exchange.filters(), { size });
  exchange.sendJson(200, {
    Volumes: found.volumes.map((volume) => volumeJson(volume, size)),
    Warnings: found.warnings.length === 0 ? null : found.warnings,
  });
}

async function create(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  const request = decodeVolumeCreate(await exchange.json());
  const labels = withLeaseLabels(exchange, request.labels);
  exchange.sendJson(201, volumeJson(await volumes.create({ ...request, labels }), false));
}

async function inspect(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  const size = exchange.flag('size');
  exchange.sendJson(200, volumeJson(await volumes.inspect(exchange.parameter('name'), { size }), size));
}

async function remove(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  await volumes.remove(exchange.parameter('name'), { force: exchange.flag('force') });
  exchange.sendEmpty(204);
}

async function prune(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  const filters = exchange.filters();
  // Before 1.42 a prune took named volumes too, and old clients say nothing of it.
  const { removed, reclaimedBytes } = await volumes.prune(exchange.apiMinor < 42 ? { ...filters, all: ['true'] } : filters);
  exchange.sendJson(200, { VolumesDeleted: removed.length === 0 ? null : removed, SpaceReclaimed: reclaimedBytes });
}

/** Docker changes cluster volumes this way, and nothing else. */
async function updateCluster(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  await exchange.json();
  await volumes.inspect(exchange.parameter('name'));
  throw new EngineError(
    'unavailable',
    'This node is not a swarm manager. Only cluster volumes can be updated, and they belong to swarm mode, which Gantry does not have',
  );
}

async function rename(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  const { name } = decodeVolumeCopy(await exchange.json());
  exchange.sendJson(200, volumeJson(await volumes.rename(exchange.parameter('name'), name), false));
}

async function clone(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  const { name, labels } = decodeVolumeCopy(await exchange.json());
  exchange.sendJson(201, volumeJson(await volumes.clone(exchange.parameter('name'), name, labels), false));
}

async function exportTar(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  const tar = await volumes.export(exchange.parameter('name'));
  exchange.startStream(200, 'application/x-tar');
  await exchange.sendStream(tar);
}

async function importTar(exchange: Exchange, { volumes }: ApiServices): Promise<void> {
  await volumes.import(exchange.parameter('name'), exchange.request, { merge: exchange.flag('merge') });
  exchange.sendEmpty(200);
}
