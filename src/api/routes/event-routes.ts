/** `GET /events`: what happened since a moment, then what happens, one JSON text a line. */
import type { Writable } from 'node:stream';
import { requireKnownFilters } from '../../wire/filters.ts';
import { parseTimestamp } from '../../wire/timestamps.ts';
import { type EngineEvent, type EngineEvents, eventFilterKeys, matchesEvent } from '../engine-events.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';

/** A client that reads nothing is cut off when this much of what is new waits for it, instead of filling the daemon's memory. */
const maxWaitingBytes = 1024 * 1024;

export function eventRoutes({ events }: ApiServices): readonly Route[] {
  return [{ method: 'GET', pattern: '/events', body: 'any', handle: (exchange) => streamEvents(exchange, events) }];
}

async function streamEvents(exchange: Exchange, events: EngineEvents): Promise<void> {
  const filters = exchange.filters();
  requireKnownFilters(filters, eventFilterKeys);
  const since = timeParameter(exchange, 'since');
  const until = timeParameter(exchange, 'until');
  exchange.startStream(200, 'application/json');
  const { response } = exchange;
  // Nothing can happen between the replay and the subscription: both are in this turn of the event loop.
  const kept = since === null ? [] : events.replay(since, until).filter((event) => matchesEvent(event, filters));
  for (const event of kept) response.write(eventLine(event));
  const limitBytes = response.writableLength + maxWaitingBytes;
  const send = (event: EngineEvent) => {
    if (matchesEvent(event, filters)) writeOrCut(response, eventLine(event), limitBytes);
  };
  if (since === null && until !== null && until <= nowNano()) return void exchange.response.end();
  const unsubscribe = events.subscribe((event) => {
    if (until === null || event.timeNano <= until) send(event);
  });
  await untilTimeOrGone(until, exchange.signal);
  unsubscribe();
  exchange.response.end();
}

function writeOrCut(response: Writable, line: string, limitBytes: number): void {
  if (response.writableLength > limitBytes) response.destroy();
  else response.write(line);
}

/** One text for all who listen: a thousand of them that do not read hold it once. */
const lines = new WeakMap<EngineEvent, string>();

function eventLine(event: EngineEvent): string {
  const known = lines.get(event);
  if (known !== undefined) return known;
  const line = lineOf(event);
  lines.set(event, line);
  return line;
}

/** `timeNano` is beyond 2^53 and has to leave exactly, which JSON.stringify cannot do with a number. */
function lineOf({ type, action, id, attributes, timeNano }: EngineEvent): string {
  const legacy =
    type === 'container'
      ? { status: action, id, ...(attributes.image === undefined ? {} : { from: attributes.image }) }
      : type === 'image'
        ? { status: action, id }
        : {};
  const message = { ...legacy, Type: type, Action: action, Actor: { ID: id, Attributes: attributes }, scope: 'local' };
  return `${JSON.stringify(message).slice(0, -1)},"time":${timeNano / 1_000_000_000n},"timeNano":${timeNano}}\n`;
}

function untilTimeOrGone(until: bigint | null, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = until === null ? null : setLongTimeout(() => resolve(), Number((until - nowNano()) / 1_000_000n));
    signal.addEventListener(
      'abort',
      () => {
        if (timer !== null) clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

/** setTimeout fires at once beyond 2^31 ms; nobody waits 24 days for `until`. */
function setLongTimeout(callback: () => void, delayMs: number): NodeJS.Timeout {
  return setTimeout(callback, Math.min(Math.max(delayMs, 0), 2 ** 31 - 1));
}

function nowNano(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

function timeParameter(exchange: Exchange, name: string): bigint | null {
  const text = exchange.text(name);
  return text === null || text === '' ? null : parseTimestamp(text, name);
}
