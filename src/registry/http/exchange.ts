/** One request and its answer, as the routes see them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Writer } from '../registry.ts';

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly writer: Writer;
  /** For the observer: bytes of a request's body. */
  countTaken(bytes: number): void;
  /** For the observer: bytes of the body that went past the socket's own count. */
  countSent(bytes: number): void;
  /** The client is gone. */
  readonly signal: AbortSignal;
}

export type Headers = Readonly<Record<string, string | number>>;

export function send(response: ServerResponse, status: number, headers: Headers, body?: Uint8Array | string): void {
  response.writeHead(status, headers);
  response.end(body);
}

export function sendJson({ request, response }: Exchange, status: number, value: unknown, headers: Headers = {}): void {
  const body = Buffer.from(JSON.stringify(value));
  const all = { 'Content-Type': 'application/json', 'Content-Length': body.length, ...headers };
  send(response, status, all, request.method === 'HEAD' ? undefined : body);
}

/** The body as it comes. Ending early leaves the connection alone, so that an answer can still be sent. Throws when the client goes before its end. */
export async function* bodyOf(exchange: Exchange): AsyncGenerator<Uint8Array> {
  for await (const chunk of exchange.request.iterator({ destroyOnReturn: false })) {
    exchange.countTaken((chunk as Buffer).length);
    yield chunk as Buffer;
  }
}

/** `Content-Length`; null: not said. */
export function lengthOf(request: IncomingMessage): number | null {
  const text = request.headers['content-length'];
  return text === undefined ? null : Number(text);
}
