/** The web page as a handler of Node's HTTP server, for whatever is not the API's. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { html } from './html.ts';
import { framed } from './page-frame.ts';
import type { PageResponse } from './page-request.ts';
import { createRegistryPage, type RegistryPageOptions } from './registry-page.ts';

export interface PageHandlerOptions extends RegistryPageOptions {
  /** The address that counts, behind a proxy that is trusted. */
  readonly addressOf?: (request: IncomingMessage) => string;
  /** What clients call us: `https://registry.example`. */
  readonly originOf?: (request: IncomingMessage) => string;
  /** What went wrong on our side. */
  readonly onError?: (error: unknown, request: IncomingMessage) => void;
}

/** Answers every request: the last handler of a server. */
export function createPageHandler(options: PageHandlerOptions): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const page = createRegistryPage(options);
  return async (request, response) => {
    const asked = {
      method: request.method ?? 'GET',
      target: request.url ?? '/',
      authorization: request.headers.authorization ?? null,
      address: options.addressOf?.(request) ?? request.socket.remoteAddress ?? '',
      origin: options.originOf?.(request) ?? ownOrigin(request),
    };
    const { status, headers, body } = await page(asked).catch((error: unknown) => {
      options.onError?.(error, request);
      return defect();
    });
    if (!request.complete) response.setHeader('Connection', 'close');
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
}

function ownOrigin({ headers, socket }: IncomingMessage): string {
  const origin = `${'encrypted' in socket ? 'https' : 'http'}://${headers.host ?? ''}`;
  return URL.canParse(origin) ? origin : 'http://localhost';
}

function defect(): PageResponse {
  const content = html`<h1>That did not work</h1><p>The log of the registry says more.</p>`;
  return framed({ title: 'That did not work', search: null, user: null, canSignIn: false, content }, 500);
}
