/**
 * `POST /gantry/build`: a build by our own protocol. The request is JSON; after the 101 the connection carries frames (wire/build-frames.ts): events one way, questions and answers the
 * other, at the end a result or a failure. A client that closes the connection cancels its build.
 */
import { EngineError, invalid } from '../../base/errors.ts';
import type { Builder } from '../../build/builder.ts';
import { BuildStreams } from '../../wire/build-streams.ts';
import { failureJson, resultJson } from '../build-session/event-json.ts';
import { readBuildRequest } from '../build-session/read-build-request.ts';
import { SessionClient } from '../build-session/session-client.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route-table.ts';

const protocol = 'gantry-build';
const lingerMs = 10_000;

export function buildSessionRoutes(builder: Builder): readonly Route[] {
  return [{ method: 'POST', pattern: '/gantry/build', body: 'json', hijack: true, handle: (exchange) => build(exchange, builder) }];
}

async function build(exchange: Exchange, builder: Builder): Promise<void> {
  const { headers } = exchange.request;
  const body = await exchange.json();
  if (headers.upgrade?.toLowerCase() !== protocol || !/upgrade/i.test(headers.connection ?? '')) {
    throw invalid(`POST /gantry/build needs the headers Connection: Upgrade and Upgrade: ${protocol}`);
  }
  const request = readBuildRequest(body);
  const { stream } = exchange.switchTo(() => `HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
  const gone = new AbortController();
  const streams = new BuildStreams(stream, { opened: null, message: null, closed: (error) => gone.abort(clientGone(error)) });
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  try {
    const outcome = await builder.build(request, new SessionClient(streams), gone.signal);
    streams.send(resultJson(outcome));
  } catch (error) {
    streams.send(failureJson(error));
  }
  streams.end();
  const timer = setTimeout(() => stream.destroy(), lingerMs).unref();
  await closed;
  clearTimeout(timer);
}

function clientGone(cause: Error): EngineError {
  return new EngineError('unavailable', 'context canceled: the client closed the connection of its build', { cause });
}
