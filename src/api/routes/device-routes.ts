/**
 * Beyond Docker: `GET /devices` lists what can be given to containers, `GET /devices/NAME` shows one (by its qualified name), `GET /devices/description` is the CDI
 * description that discovery makes, for other engines.
 */
import { invalid } from '../../base/errors.ts';
import type { DeviceView } from '../../devices/devices.ts';
import type { GpuMaker } from '../../devices/gpu-vendor.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

const makers: readonly GpuMaker[] = ['nvidia', 'amd', 'intel'];

export function deviceRoutes(services: ApiServices): readonly Route[] {
  const get = (pattern: string, handle: (exchange: Exchange, services: ApiServices) => Promise<void>): Route => ({
    method: 'GET',
    pattern,
    body: 'any',
    handle: (exchange) => handle(exchange, services),
  });
  return [get('/devices', list), get('/devices/description', describe), get('/devices/{name:*}', inspect)];
}

async function list(exchange: Exchange, { devices }: ApiServices): Promise<void> {
  const { devices: found, problems } = await devices.list();
  exchange.sendJson(200, {
    Devices: found.map(deviceJson),
    Problems: problems.map(({ source, text }) => ({ Source: source, Text: text })),
  });
}

async function inspect(exchange: Exchange, { devices }: ApiServices): Promise<void> {
  const view = await devices.inspect(exchange.parameter('name'));
  exchange.sendJson(200, { ...deviceJson(view), Description: view.description });
}

async function describe(exchange: Exchange, { devices }: ApiServices): Promise<void> {
  const asked = exchange.text('maker') ?? '';
  const maker = makers.find((name) => name === asked) ?? null;
  if (maker === null && asked !== '') throw invalid(`unknown maker of GPUs ${JSON.stringify(asked)}: known are ${makers.join(', ')}`);
  exchange.sendJson(200, await devices.describe(maker));
}

/** What is not known is empty, or 0. */
function deviceJson({ name, file, maker, model, uuid, memoryBytes, heldBy, problem }: DeviceView): object {
  return {
    Name: name,
    Source: file ?? 'discovered',
    Maker: maker ?? '',
    Model: model,
    UUID: uuid ?? '',
    Memory: memoryBytes ?? 0,
    HeldBy: heldBy.map(({ holder, exclusive }) => ({ Id: holder.id, Title: holder.title, Exclusive: exclusive })),
    Problem: problem ?? '',
  };
}
