/** Blobs that are there: end-2, end-10 of the specification, with ranges. */
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Digest } from '../../base/brand.ts';
import { hasErrnoCode } from '../../base/errors.ts';
import { sendFilePart } from '../../store/file-to-socket.ts';
import type { RegistryRepository, StoredBlob } from '../registry.ts';
import { RegistryRefusal } from '../registry-refusal.ts';
import { byteRange } from './byte-range.ts';
import { type Exchange, type Headers, send } from './exchange.ts';
import { matches } from './manifest-routes.ts';

/** Content of a digest never changes. */
const caching = 'max-age=31536000';

export async function getBlob(exchange: Exchange, repository: RegistryRepository, digest: Digest): Promise<void> {
  const { request, response } = exchange;
  const blob = await repository.blob(digest);
  if (blob === null) throw unknownBlob(repository.name, digest);
  const tag = `"${digest}"`;
  const common = { 'Docker-Content-Digest': digest, ETag: tag, 'Cache-Control': caching, 'Accept-Ranges': 'bytes' };
  const { range, 'if-none-match': known, 'if-range': ifRange } = request.headers;
  if (known !== undefined && matches(known, digest)) return send(response, 304, common);
  const part = byteRange(ifRange === undefined || ifRange === tag ? range : undefined, blob.sizeBytes);
  if (part.kind === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${blob.sizeBytes}`);
    throw new RegistryRefusal(
      'UNSUPPORTED',
      `blob ${digest} has ${blob.sizeBytes} bytes: there are none in the range asked for`,
      null,
      416,
    );
  }
  const whole = part.kind === 'whole';
  const [start, end] = whole ? [0, blob.sizeBytes] : [part.start, part.end];
  const head = {
    ...common,
    'Content-Type': 'application/octet-stream',
    'Content-Length': end - start,
    ...(whole ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${blob.sizeBytes}` }),
  };
  const status = whole ? 200 : 206;
  if (request.method === 'HEAD' || end === start) send(response, status, head);
  else await sendBytes(exchange, blob, start, end, status, head);
}

export async function deleteBlob(exchange: Exchange, repository: RegistryRepository, digest: Digest): Promise<void> {
  if (!(await repository.deleteBlob(digest, exchange.writer))) throw unknownBlob(repository.name, digest);
  send(exchange.response, 202, { 'Content-Length': 0 });
}

function unknownBlob(name: string, digest: Digest): RegistryRefusal {
  return new RegistryRefusal('BLOB_UNKNOWN', `blob unknown to registry: repository ${name} has no ${digest}`, { digest });
}

async function sendBytes(exchange: Exchange, blob: StoredBlob, start: number, end: number, status: number, head: Headers): Promise<void> {
  if (blob.path === null) await sendStream(exchange, blob.stream(start, end), status, head);
  else await sendFile(exchange, blob, blob.path, start, end, status, head);
}

async function sendFile(
  exchange: Exchange,
  blob: StoredBlob,
  path: string,
  start: number,
  end: number,
  status: number,
  head: Headers,
): Promise<void> {
  const { response } = exchange;
  // Opened before the head: a file that is gone or cannot be read is still an error then.
  await using file = await open(path).catch((thrown: unknown) => {
    throw hasErrnoCode(thrown, 'ENOENT')
      ? new RegistryRefusal('BLOB_UNKNOWN', 'blob unknown to registry', { digest: blob.digest })
      : thrown;
  });
  response.writeHead(status, head);
  exchange.countSent(await sendFilePart(response, file, start, end));
  response.end();
}

async function sendStream({ response }: Exchange, bytes: AsyncIterable<Uint8Array>, status: number, head: Headers): Promise<void> {
  const source = bytes[Symbol.asyncIterator]();
  const first = await source.next();
  response.writeHead(status, head);
  await pipeline(async function* () {
    if (!first.done) yield first.value;
    yield* { [Symbol.asyncIterator]: () => source };
  }, response);
}
