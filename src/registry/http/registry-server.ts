/** A server of the registry alone, without TLS: for tests, and for whoever puts the handler behind a server of their own to see what it needs. */
import { createServer, type Server, type ServerOptions } from 'node:http';
import { errorBody } from './refuse.ts';
import { createRegistryHandler, type RegistryHandlerOptions } from './registry-handler.ts';

/** An upload takes as long as it takes: no limit on a whole request, but on its head and on silence. */
export const registryServerOptions: ServerOptions = { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 75_000, noDelay: true };
/** A connection on which nothing moves for so long, in either direction, is given up. */
export const registrySilenceMs = 5 * 60_000;

export function createRegistryServer(options: RegistryHandlerOptions): Server {
  const handle = createRegistryHandler(options);
  const server = createServer(registryServerOptions, (request, response) => {
    if (handle(request, response)) return;
    response.writeHead(404, { 'Content-Type': 'application/json' });
    response.end(errorBody('UNSUPPORTED', 'the registry is at /v2/', null));
  });
  server.timeout = registrySilenceMs;
  return server;
}
