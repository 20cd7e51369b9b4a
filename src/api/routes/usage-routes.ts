/** What containers use and may use: stats, their processes, new limits. */
import { once } from 'node:events';
import type { ContainerStats } from '../../containers/containers.ts';
import { decodeUpdate } from '../../wire/update-request.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';
import { statsLine } from '../stats-json.ts';
import { usageTableJson } from '../usage-table-json.ts';

export function usageRoutes({ containers }: ApiServices): readonly Route[] {
  return [
    {
      method: 'POST',
      pattern: '/containers/{id}/update',
      body: 'json',
      async handle(exchange) {
        const warnings = await containers.update(exchange.parameter('id'), decodeUpdate(await exchange.json()));
        exchange.sendJson(200, { Warnings: warnings.length === 0 ? null : warnings });
      },
    },
    {
      method: 'GET',
      pattern: '/containers/{id}/top',
      body: 'any',
      async handle(exchange) {
        const { titles, processes } = await containers.processes(exchange.parameter('id'), exchange.text('ps_args') ?? '');
        exchange.sendJson(200, { Processes: processes, Titles: titles });
      },
    },
    {
      method: 'GET',
      pattern: '/system/top',
      body: 'any',
      handle: (exchange) => sendAll(exchange, containers.usage(exchange.signal), (table) => `${JSON.stringify(usageTableJson(table))}\n`),
    },
    {
      method: 'GET',
      pattern: '/containers/{id}/stats',
      body: 'any',
      async handle(exchange) {
        // Asked for nothing, it streams.
        const stream = exchange.text('stream') === null || exchange.flag('stream');
        const oneShot = exchange.apiMinor >= 41 && exchange.flag('one-shot');
        const stats = containers.stats(exchange.parameter('id'), { stream, oneShot }, exchange.signal);
        await (stream ? sendAll(exchange, stats, statsLine) : sendOne(exchange, stats));
      },
    },
  ];
}

async function sendAll<T>(exchange: Exchange, answers: AsyncIterable<T>, line: (answer: T) => string): Promise<void> {
  const { response, signal } = exchange;
  exchange.startStream(200, 'application/json');
  try {
    for await (const each of answers) {
      // A client that does not read is asked for no more samples: the next one that it gets is a new one.
      if (!response.write(line(each))) await once(response, 'drain', { signal });
    }
    response.end();
  } catch (error) {
    if (!signal.aborted) throw error;
    response.destroy();
  }
}

async function sendOne(exchange: Exchange, stats: AsyncIterable<ContainerStats>): Promise<void> {
  for await (const each of stats) {
    const body = statsLine(each);
    exchange.response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    exchange.response.end(body);
    return;
  }
  // It was removed between two samples, or the client has left.
  exchange.startStream(200, 'application/json');
  exchange.response.end();
}
