/** Uploads at a registry of the tests: monolithic, by chunks, mounted; and what may go wrong in their middle. */
import type { Digest } from '../../../src/base/brand.ts';
import { resetConnection } from './answer-body.ts';
import { type Exchange, sendError, sendText } from './exchange.ts';

export async function answerUpload(exchange: Exchange, id: string): Promise<void> {
  const { record, uploads } = exchange;
  if (record.method === 'POST') return await beginUpload(exchange);
  const sizeBytes = uploads.sizeBytes(id);
  if (sizeBytes === null) {
    exchange.request.resume();
    return sendError(exchange, 404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  }
  switch (record.method) {
    case 'GET':
      return sendText(exchange, 204, '', whereItIs(exchange, id));
    case 'DELETE':
      uploads.cancel(id);
      return sendText(exchange, 204, '');
    case 'PATCH':
      return await appendPart(exchange, id, sizeBytes);
    case 'PUT':
      return await finishUpload(exchange, id);
    default:
      return sendError(exchange, 405, 'UNSUPPORTED', 'method not allowed');
  }
}

async function beginUpload(exchange: Exchange): Promise<void> {
  const { record, content, uploads, fault } = exchange;
  const query = new URL(record.path, 'http://x').searchParams;
  const [mount, from] = [query.get('mount') as Digest | null, query.get('from')];
  const repository = record.repository ?? '';
  const mounted = mount !== null && from !== null && fault?.kind !== 'refuse-mount' ? content.blob(mount, from) : undefined;
  if (mount !== null && mounted !== undefined) {
    content.addBlobSource(mount, mounted, 'application/octet-stream', repository);
    return sendCreated(exchange, mount);
  }
  const id = uploads.begin();
  const digest = query.get('digest') as Digest | null;
  if (digest === null) {
    exchange.request.resume();
    return sendText(exchange, 202, '', whereItIs(exchange, id));
  }
  if (await takeBytes(exchange, id)) finish(exchange, id, digest);
}

async function appendPart(exchange: Exchange, id: string, sizeBytes: number): Promise<void> {
  const { request, uploads, fault } = exchange;
  const [, first] = /^(?:bytes )?(\d+)-(\d+)/.exec(request.headers['content-range'] ?? '') ?? [];
  if (first !== undefined && Number(first) !== sizeBytes) {
    request.resume();
    return sendText(exchange, 416, '', whereItIs(exchange, id));
  }
  if (!(await takeBytes(exchange, id))) return;
  if (fault?.kind === 'lose-upload-bytes') uploads.cutTo(id, sizeBytes + fault.keepBytes);
  sendText(exchange, 202, '', whereItIs(exchange, id));
}

async function finishUpload(exchange: Exchange, id: string): Promise<void> {
  const digest = new URL(exchange.record.path, 'http://x').searchParams.get('digest');
  if (await takeBytes(exchange, id)) finish(exchange, id, digest as Digest);
}

function finish(exchange: Exchange, id: string, digest: Digest): void {
  if (exchange.uploads.finish(id, digest, exchange.record.repository ?? '')) return void sendCreated(exchange, digest);
  sendError(exchange, 400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
}

/** False: it was broken off, and that was the answer. */
async function takeBytes(exchange: Exchange, id: string): Promise<boolean> {
  const { request, response, record, uploads, fault } = exchange;
  const limit = fault?.kind === 'break-upload' ? fault.afterBytes : Number.POSITIVE_INFINITY;
  for await (const piece of request as AsyncIterable<Buffer>) {
    const part = piece.subarray(0, limit - record.receivedBytes);
    record.receivedBytes += part.length;
    uploads.append(id, part);
    if (record.receivedBytes < limit) continue;
    if (fault?.kind === 'break-upload' && fault.how !== 'reset') {
      sendError(exchange, fault.how, 'UNKNOWN', 'something went wrong', { Connection: 'close' });
      return false;
    }
    resetConnection(response);
    return false;
  }
  return true;
}

function whereItIs({ record, uploads }: Exchange, id: string): Readonly<Record<string, string>> {
  const sizeBytes = uploads.sizeBytes(id) ?? 0;
  return {
    Location: `/v2/${record.repository}/blobs/uploads/${id}?state=x`,
    Range: `0-${Math.max(0, sizeBytes - 1)}`,
    'Docker-Upload-UUID': id,
  };
}

function sendCreated(exchange: Exchange, digest: Digest): void {
  exchange.request.resume();
  sendText(exchange, 201, '', { Location: `/v2/${exchange.record.repository}/blobs/${digest}`, 'Docker-Content-Digest': digest });
}
