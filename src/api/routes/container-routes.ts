/** Containers as things: list, create, inspect, start, stop, kill, rename, remove, prune. Their streams are in container-stream-routes.ts. */
import { EngineError, invalid } from '../../base/errors.ts';
import { decodeCreateContainer } from '../../wire/create-container-request.ts';
import { decodePortChange } from '../../wire/network-requests.ts';
import { type ContainerJsonContext, containerInspect, containerSummary } from '../container-json.ts';
import type { Exchange } from '../exchange.ts';
import { withLeaseLabels } from '../lease-headers.ts';
import type { Method, Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

export function containerRoutes(services: ApiServices): readonly Route[] {
  const { containers } = services;
  const reference = (exchange: Exchange) => exchange.parameter('id');
  return [
    route('GET', '/containers/json', (exchange) => list(exchange, services)),
    { method: 'POST', pattern: '/containers/create', body: 'json', handle: (exchange) => create(exchange, services) },
    route('GET', '/containers/{id}/json', async (exchange) => {
      const view = await containers.inspect(reference(exchange), { size: exchange.flag('size') });
      exchange.sendJson(200, containerInspect(view, context(exchange, services)));
    }),
    route('POST', '/containers/{id}/start', async (exchange) => {
      exchange.refuse(['checkpoint', 'checkpoint-dir'], 'checkpoints do not exist here');
      exchange.sendEmpty((await containers.start(reference(exchange))) === 'started' ? 204 : 304);
    }),
    route('POST', '/containers/{id}/stop', async (exchange) => {
      exchange.sendEmpty((await containers.stop(reference(exchange), stopOptions(exchange))) === 'stopped' ? 204 : 304);
    }),
    route('POST', '/containers/{id}/restart', async (exchange) => {
      await containers.restart(reference(exchange), stopOptions(exchange));
      exchange.sendEmpty(204);
    }),
    route('POST', '/containers/{id}/kill', async (exchange) => {
      await containers.kill(reference(exchange), exchange.text('signal') || 'KILL');
      exchange.sendEmpty(204);
    }),
    route('POST', '/containers/{id}/pause', async (exchange) => {
      await containers.pause(reference(exchange));
      exchange.sendEmpty(204);
    }),
    route('POST', '/containers/{id}/unpause', async (exchange) => {
      await containers.unpause(reference(exchange));
      exchange.sendEmpty(204);
    }),
    {
      method: 'POST',
      pattern: '/containers/{id}/ports',
      body: 'json',
      async handle(exchange) {
        await containers.changePorts(reference(exchange), decodePortChange(await exchange.json()));
        // The numbers that the kernel chose are part of the answer.
        exchange.sendJson(200, { Ports: (await containers.inspect(reference(exchange))).ports });
      },
    },
    route('POST', '/containers/{id}/rename', async (exchange) => {
      await containers.rename(reference(exchange), exchange.text('name') ?? '');
      exchange.sendEmpty(204);
    }),
    route('POST', '/containers/{id}/resize', async (exchange) => {
      const { rows, columns } = terminalSize(exchange);
      await containers.resize(reference(exchange), rows, columns);
      exchange.sendEmpty(200);
    }),
    route('DELETE', '/containers/{id}', async (exchange) => {
      exchange.refuse(['link'], 'a link ends with the container that asked for it');
      await containers.remove(reference(exchange), { force: exchange.flag('force'), volumes: exchange.flag('v') });
      exchange.sendEmpty(204);
    }),
    route('POST', '/containers/prune', async (exchange) => {
      const { removed, reclaimedBytes } = await containers.prune(exchange.filters());
      exchange.sendJson(200, { ContainersDeleted: removed.length === 0 ? null : removed, SpaceReclaimed: reclaimedBytes });
    }),
  ];
}

/** The size of a terminal in `h` and `w`. */
export function terminalSize(exchange: Exchange): { readonly rows: number; readonly columns: number } {
  return { rows: terminalSide(exchange, 'h'), columns: terminalSide(exchange, 'w') };
}

function terminalSide(exchange: Exchange, name: string): number {
  const side = exchange.integer(name);
  if (side === null || side < 0 || side > 65535) {
    throw invalid(
      `invalid value for "${name}": a terminal's size is a whole number from 0 to 65535, not ${JSON.stringify(exchange.text(name))}`,
    );
  }
  return side;
}

/** Bodies of these operations carry nothing (dockerode sends some anyway), so they are not looked at. */
function route(method: Method, pattern: string, handle: Route['handle']): Route {
  return { method, pattern, body: 'any', handle };
}

async function list(exchange: Exchange, services: ApiServices): Promise<void> {
  const filters = exchange.filters();
  const limit = exchange.integer('limit');
  const limited = limit !== null && limit > 0;
  const views = await services.containers.list({
    // A limit asks for the newest, a status for that status: both look beyond the running ones.
    all: exchange.flag('all') || limited || (filters.status?.length ?? 0) > 0,
    limit: limited ? limit : null,
    size: exchange.flag('size'),
    filters,
  });
  const shown = context(exchange, services);
  const now = new Date();
  exchange.sendJson(
    200,
    views.map((view) => containerSummary(view, shown, now)),
  );
}

async function create(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const body = await exchange.json();
  if (body === null) throw invalid('config cannot be empty in order to create a container');
  const { config, hostConfig, endpoints, warnings } = decodeCreateContainer(body, exchange.apiMinor);
  const name = exchange.text('name') || null;
  const platform = exchange.text('platform') || null;
  const leased = { ...config, Labels: withLeaseLabels(exchange, config.Labels) };
  const created = await containers.create({ name, platform, config: leased, hostConfig, endpoints }).catch(refuseWithoutPull);
  exchange.sendJson(201, { Id: created.id, Warnings: [...warnings, ...created.warnings] });
}

/** The docker CLI takes every 404 of a creation for a missing image, pulls it and tries again: only the image's own absence may be one. */
function refuseWithoutPull(thrown: unknown): never {
  const isOther = thrown instanceof EngineError && thrown.code === 'not-found' && !/no such image/i.test(thrown.message);
  throw isOther ? invalid(thrown.message, { cause: thrown, details: thrown.details }) : thrown;
}

function stopOptions(exchange: Exchange) {
  return {
    signal: exchange.apiMinor >= 42 ? exchange.text('signal') || null : null,
    timeoutSeconds: exchange.integer('t'),
  };
}

function context(exchange: Exchange, { images }: ApiServices): ContainerJsonContext {
  return { images, apiMinor: exchange.apiMinor };
}
