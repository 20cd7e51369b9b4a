/** One request at a registry of the tests, and the ways to answer it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendBody } from './answer-body.ts';
import type { Fault } from './faults.ts';
import type { RecordedRequest } from './recorded-request.ts';
import type { RegistryContent } from './registry-content.ts';
import type { Gatekeeper } from './tokens.ts';
import type { UploadShelf } from './upload-shelf.ts';

type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
export type Headers = Readonly<Record<string, string | number>>;

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly record: RecordedRequest;
  readonly fault: Fault | null;
  readonly content: RegistryContent;
  readonly gatekeeper: Gatekeeper;
  readonly uploads: UploadShelf;
  /** `http://127.0.0.1:port` */
  readonly origin: string;
  readonly searchResults: readonly object[];
  readonly hasReferrersApi: boolean;
  allowed(pieces: Pieces): Pieces;
}

/** The whole body of a request. */
export async function received(request: IncomingMessage, record: RecordedRequest): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) {
    record.receivedBytes += piece.length;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

export function sendText(exchange: Exchange, status: number, text: string, headers: Headers = {}): void {
  const length: Headers = status === 204 ? {} : { 'Content-Length': Buffer.byteLength(text) };
  head(exchange, status, { ...length, ...headers });
  exchange.record.sentBytes += exchange.record.method === 'HEAD' ? 0 : Buffer.byteLength(text);
  exchange.response.end(exchange.record.method === 'HEAD' ? '' : text);
}

export function sendError(exchange: Exchange, status: number, code: string, message: string, headers: Headers = {}): void {
  const text = JSON.stringify({ errors: [{ code, message, detail: null }] });
  sendText(exchange, status, text, { 'Content-Type': 'application/json', ...headers });
}

export function sendJson(exchange: Exchange, status: number, document: object, headers: Headers = {}): void {
  sendText(exchange, status, JSON.stringify(document), { 'Content-Type': 'application/json', ...headers });
}

export function head({ response, record, fault }: Exchange, status: number, headers: Headers): void {
  const changes = fault?.kind === 'headers' ? fault.set : {};
  const all: Record<string, string | number> = { 'Docker-Distribution-Api-Version': 'registry/2.0', ...headers };
  for (const [name, value] of Object.entries(changes)) {
    for (const key of Object.keys(all)) if (key.toLowerCase() === name.toLowerCase()) delete all[key];
    if (value !== null) all[name] = value;
  }
  record.status = status;
  response.writeHead(status, all);
}

export async function body({ response, record }: Exchange, pieces: Pieces, fault: Fault | null): Promise<void> {
  if (record.method === 'HEAD') return void response.end();
  await sendBody(response, pieces, fault, (bytes) => {
    record.sentBytes += bytes;
  });
}
