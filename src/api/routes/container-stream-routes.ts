/** Operations on containers whose answer takes its time: wait, attach, logs. */
import { invalid } from '../../base/errors.ts';
import type { LogOptions, Readiness } from '../../containers/containers.ts';
import { streamContentType } from '../../wire/stream-frames.ts';
import { parseTimestamp } from '../../wire/timestamps.ts';
import type { Exchange } from '../exchange.ts';
import { relay } from '../hijack.ts';
import type { Route } from '../route-table.ts';
import type { ApiServices } from '../services.ts';
import { WebsocketStream, websocketHandshake } from '../websocket.ts';

export function containerStreamRoutes(services: ApiServices): readonly Route[] {
  return [
    { method: 'POST', pattern: '/containers/{id}/wait', body: 'any', handle: (exchange) => wait(exchange, services) },
    { method: 'POST', pattern: '/containers/{id}/attach', body: 'any', hijack: true, handle: (exchange) => attach(exchange, services) },
    {
      method: 'GET',
      pattern: '/containers/{id}/attach/ws',
      body: 'any',
      hijack: true,
      handle: (exchange) => attachWebsocket(exchange, services),
    },
    { method: 'GET', pattern: '/containers/{id}/logs', body: 'any', handle: (exchange) => logs(exchange, services) },
  ];
}

/** The headers leave as soon as the wait is registered: the docker CLI sends `start` only after it has them. */
async function wait(exchange: Exchange, services: ApiServices): Promise<void> {
  const readiness = readinessOf(exchange.text('condition') ?? '');
  if (readiness === null) return await waitForExit(exchange, services);
  const { statusCode, error } = await services.containers.waitUntilReady(exchange.parameter('id'), readiness, exchange.signal);
  exchange.sendJson(200, { StatusCode: statusCode, ...(error === null ? {} : { Error: { Message: error } }) });
}

/** Beyond Docker: `healthy`, `port=80`, `port=53/udp`. */
function readinessOf(condition: string): Readiness | null {
  if (condition === 'healthy') return { kind: 'healthy' };
  if (!condition.startsWith('port=')) return null;
  const [, number = '', protocol = 'tcp'] = /^port=(\d{1,5})(?:\/(tcp|udp))?$/.exec(condition) ?? [];
  const port = Number(number);
  if (port < 1 || port > 65_535) throw invalid(`invalid condition: ${JSON.stringify(condition)}: a port is port=80 or port=53/udp`);
  return { kind: 'listening', port, protocol: protocol === 'udp' ? 'udp' : 'tcp' };
}

async function waitForExit(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const { exit } = await containers.wait(exchange.parameter('id'), waitCondition(exchange), exchange.signal);
  exchange.startStream(200, 'application/json');
  try {
    const { statusCode, error } = await exit;
    const message = error === null ? null : { Message: error };
    exchange.writeLine({ ...(exchange.apiMinor < 42 || message !== null ? { Error: message } : {}), StatusCode: statusCode });
    exchange.response.end();
  } catch (thrown) {
    if (!exchange.signal.aborted) throw thrown;
    exchange.response.destroy();
  }
}

const waitConditions = ['not-running', 'next-exit', 'removed'] as const;

function waitCondition(exchange: Exchange): (typeof waitConditions)[number] {
  // Before 1.30 a condition was not known, and before 1.42 a wrong one was not told.
  const text = exchange.apiMinor < 30 ? '' : (exchange.text('condition') ?? '');
  const known = waitConditions.find((condition) => condition === text);
  if (known === undefined && text !== '' && exchange.apiMinor >= 42) throw invalid(`invalid condition: ${JSON.stringify(text)}`);
  return known ?? 'not-running';
}

async function attach(exchange: Exchange, { containers, hasHungUp }: ApiServices): Promise<void> {
  // The whole request has to be read before the connection leaves HTTP.
  await exchange.bytes(64 * 1024);
  const session = await containers.attach(exchange.parameter('id'), {
    stream: exchange.flag('stream'),
    logs: exchange.flag('logs'),
    stdin: exchange.flag('stdin'),
    stdout: exchange.flag('stdout'),
    stderr: exchange.flag('stderr'),
    detachKeys: exchange.text('detachKeys') || null,
  });
  await relay(exchange.hijack(streamContentType(exchange.apiMinor, session.tty)), session.stream, hasHungUp);
}

/** The same session over a WebSocket. Before 1.42 all three streams were joined, whatever was asked for. */
async function attachWebsocket(exchange: Exchange, { containers, hasHungUp }: ApiServices): Promise<void> {
  const answer = websocketHandshake(exchange.request);
  const all = exchange.apiMinor < 42;
  const session = await containers.attach(exchange.parameter('id'), {
    stream: exchange.flag('stream'),
    logs: exchange.flag('logs'),
    stdin: all || exchange.flag('stdin'),
    stdout: all || exchange.flag('stdout'),
    stderr: all || exchange.flag('stderr'),
    detachKeys: exchange.text('detachKeys') || null,
  });
  const { stream, socket } = exchange.switchTo(() => answer);
  const websocket = new WebsocketStream(stream, { framed: !session.tty, text: exchange.apiMinor < 28 });
  await relay({ stream: websocket, socket }, session.stream, hasHungUp);
}

async function logs(exchange: Exchange, { containers }: ApiServices): Promise<void> {
  const options = logOptions(exchange);
  const { tty, stream } = await containers.logs(exchange.parameter('id'), options, exchange.signal);
  // Logs had no content type before 1.42.
  exchange.startStream(200, exchange.apiMinor < 42 ? null : streamContentType(exchange.apiMinor, tty));
  await exchange.sendStream(stream);
}

function logOptions(exchange: Exchange): LogOptions {
  const stdout = exchange.flag('stdout');
  const stderr = exchange.flag('stderr');
  if (!stdout && !stderr) throw invalid('Bad parameters: you must choose at least one stream');
  return {
    stdout,
    stderr,
    follow: exchange.flag('follow'),
    timestamps: exchange.flag('timestamps'),
    details: exchange.flag('details'),
    since: logTime(exchange, 'since'),
    until: logTime(exchange, 'until'),
    tail: tailLines(exchange.text('tail')),
  };
}

function logTime(exchange: Exchange, name: string): bigint | null {
  const text = exchange.text(name);
  // Clients write "not set" as 0.
  return text === null || text === '' || text === '0' ? null : parseTimestamp(text, name);
}

/** Everything that is not a count means all, as in Docker: `all`, `-1`, nothing. */
function tailLines(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}
