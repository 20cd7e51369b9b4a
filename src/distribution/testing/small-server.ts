/** A server of one test, on a loopback address of its own, that writes down what it was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { RegistrySettings } from '../registry-client.ts';
import { defaultRegistrySettings } from '../registry-client.ts';

export interface Asked {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authorization: string | null;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  /** The client's port: one connection. */
  readonly port: number;
}

export interface SmallServer extends AsyncDisposable {
  readonly host: string;
  readonly url: string;
  readonly asked: readonly Asked[];
  /** `METHOD /path`, in order. */
  lines(): readonly string[];
  /** Every `Authorization` that came, with the path it came to. */
  credentialsSeen(): readonly string[];
}

export type Answering = (asked: Asked, response: ServerResponse, server: SmallServer) => void | Promise<void>;

export async function smallServer(answering: Answering, options: { address?: string; tls?: ServerOptions } = {}): Promise<SmallServer> {
  const { address = '127.0.0.1', tls } = options;
  const asked: Asked[] = [];
  const onRequest = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part);
    } catch {
      return;
    }
    const { method = '', url = '', headers } = request;
    const port = request.socket.remotePort ?? 0;
    const one = { method, path: url, authorization: headers.authorization ?? null, headers, body: Buffer.concat(parts), port };
    // What the client finds out before it asks: which scheme is spoken.
    const isProbe = url === '/v2/' && headers.authorization === undefined && headers['accept-encoding'] === undefined;
    if (isProbe) return void response.writeHead(200).end();
    asked.push(one);
    await answering(one, response, server);
  };
  const listener = tls ? createTlsServer(tls, onRequest) : createServer(onRequest);
  await new Promise<void>((resolve) => listener.listen(0, address, resolve));
  const host = `${address}:${(listener.address() as AddressInfo).port}`;
  const server: SmallServer = {
    host,
    url: `${tls ? 'https' : 'http'}://${host}`,
    asked,
    lines: () => asked.map(({ method, path }) => `${method} ${path}`),
    credentialsSeen: () =>
      asked.flatMap(({ path, authorization }) => (authorization === null ? [] : [`${path.split('?')[0]} ${authorization}`])),
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
  return server;
}

export function sendJson(response: ServerResponse, status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

/** No directory of the machine's own, and short patience. */
export function testSettings(changes: Partial<RegistrySettings> = {}): RegistrySettings {
  return { ...defaultRegistrySettings, certificateDirectories: [], stallMs: 10_000, ...changes };
}
