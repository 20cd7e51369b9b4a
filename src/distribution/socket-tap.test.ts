import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { digestOf } from '../oci/digest.ts';
import { downloadBlob } from './download-blob.ts';
import { createRegistryClient } from './http-registry-client.ts';
import { worthTakingBytes } from './socket-tap.ts';
import { type Answering, smallServer, testSettings } from './testing/small-server.ts';

const large = Buffer.from(Uint32Array.from({ length: (worthTakingBytes * 3) / 4 }, (_, index) => Math.imul(index, 2654435761)).buffer);
const small = Buffer.from('a small one');

const serve: Answering = ({ path, headers }, response) => {
  const bytes = path.endsWith(digestOf(large)) ? large : small;
  const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  const range = start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {};
  response.writeHead(start > 0 ? 206 : 200, { 'content-length': bytes.length - start, ...range }).end(bytes.subarray(start));
};

function client(host: string) {
  const made = createRegistryClient(testSettings());
  const repository = made.repository({ domain: host, path: 'a' }, null);
  const get = async (bytes: Buffer, onPiece: (size: number) => unknown = () => {}) => {
    const hash = createHash('sha256');
    const kept: Uint8Array[] = [];
    for await (const piece of (await repository.blob({ digest: digestOf(bytes), size: bytes.length }, 0)).bytes) {
      hash.update(piece);
      kept.push(piece);
      await onPiece(piece.length);
    }
    // Nothing is written over while it is held.
    assert.deepEqual(Buffer.concat(kept), bytes);
    return hash.digest('hex');
  };
  return { made, repository, get };
}

test('takeBody: large and small bodies in turns, many at once, to slow and fast readers', async () => {
  await using server = await smallServer(serve);
  const { made, get } = client(server.host);
  for (const bytes of [large, small, large, small]) await get(bytes);
  await Promise.all([get(large), get(small), get(large, () => new Promise((resolve) => setTimeout(resolve, 1))), get(large), get(small)]);
  made.close();
});

test('FAULT takeBody: a large body that is cut goes on, one that is left does not come on its own', async () => {
  let round = 0;
  await using server = await smallServer((asked, response, self) => {
    if (round++ > 0) return serve(asked, response, self);
    response.writeHead(200, { 'content-length': large.length });
    response.write(large.subarray(0, worthTakingBytes + 12_345), () => setImmediate(() => response.destroy()));
  });
  const { made, repository } = client(server.host);
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  const sink = {
    get sizeBytes() {
      return sizeBytes;
    },
    async append(bytes: Uint8Array) {
      parts.push(bytes);
      sizeBytes += bytes.length;
    },
    restart: () => assert.fail('it started again'),
  };
  await downloadBlob(repository, { digest: digestOf(large), size: large.length }, sink, { backoff: { firstMs: 1, capMs: 1 } });
  assert.deepEqual(Buffer.concat(parts), large);
  for await (const piece of (await repository.blob({ digest: digestOf(large), size: large.length }, 0)).bytes) {
    assert.ok(piece.length > 0);
    break;
  }
  made.close();
});

test('takeBody: bytes after the announced end are no part of it', async () => {
  await using server = await smallServer((_, response) => {
    response.writeHead(200, { 'content-length': large.length });
    response.flushHeaders();
    response.socket?.write(Buffer.concat([large, Buffer.from('HTTP/1.1 200 OK\r\n\r\nmore')]));
  });
  const { made, get } = client(server.host);
  await get(large);
  made.close();
});
