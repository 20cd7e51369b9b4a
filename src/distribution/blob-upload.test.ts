import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../oci/digest.ts';
import { createRegistryClient } from './http-registry-client.ts';
import type { BlobUpload, RegistrySettings } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { type Answering, type Asked, type SmallServer, sendJson, smallServer, testSettings } from './testing/small-server.ts';

const blob = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 253));
const digest = digestOf(blob);

/** Pieces of a size that fits no other. */
function uploadOf(bytes: Buffer, more: Partial<BlobUpload> = {}): BlobUpload {
  return {
    digest: digestOf(bytes),
    sizeBytes: bytes.length,
    async *open(offset) {
      for (let at = offset; at < bytes.length; at += 77_777) yield bytes.subarray(at, at + 77_777);
    },
    ...more,
  };
}

interface ShelfRules {
  readonly mounts?: readonly string[];
  readonly onPut?: Answering;
  readonly onPatch?: Answering;
  readonly location?: (id: string, server: SmallServer) => string;
  readonly leastChunk?: number;
}

/** Uploads of one repository, and what was received. */
function shelf(rules: ShelfRules = {}) {
  const received = new Map<string, Buffer>();
  const stored = new Map<string, Buffer>();
  let uploads = 0;
  const locationOf = (id: string, server: SmallServer): string =>
    rules.location?.(id, server) ?? `/v2/a/blobs/uploads/${id}?state=${received.get(id)?.length}`;
  const add = ({ body }: Asked, id: string): number => {
    const all = Buffer.concat([received.get(id) ?? Buffer.alloc(0), body]);
    received.set(id, all);
    return all.length;
  };
  const answering: Answering = async (asked, response, server) => {
    const url = new URL(asked.path, 'http://x');
    const id = url.pathname.split('/').at(-1) ?? '';
    const range = { range: `0-${Math.max(0, (received.get(id)?.length ?? 0) - 1)}` };
    if (asked.method === 'HEAD') return void response.writeHead(stored.has(id) ? 200 : 404).end();
    if (asked.method === 'POST') {
      if (rules.mounts?.includes(url.searchParams.get('from') ?? '')) return void response.writeHead(201).end();
      received.set(`u${++uploads}`, Buffer.alloc(0));
      const least = rules.leastChunk === undefined ? {} : { 'oci-chunk-min-length': String(rules.leastChunk) };
      return void response.writeHead(202, { location: locationOf(`u${uploads}`, server), ...least }).end();
    }
    if (!received.has(id)) return sendJson(response, 404, { errors: [{ code: 'BLOB_UPLOAD_UNKNOWN', message: 'gone' }] });
    if (asked.method === 'GET') return void response.writeHead(204, { location: locationOf(id, server), ...range }).end();
    if (asked.method === 'DELETE') {
      received.delete(id);
      return void response.writeHead(204).end();
    }
    const special = asked.method === 'PUT' ? rules.onPut : rules.onPatch;
    if (special) await special(asked, response, server);
    if (response.writableEnded || response.destroyed) return;
    const size = add(asked, id);
    if (asked.method === 'PATCH') return void response.writeHead(202, { location: locationOf(id, server), range: `0-${size - 1}` }).end();
    const bytes = received.get(id) ?? Buffer.alloc(0);
    if (digestOf(bytes) !== url.searchParams.get('digest'))
      return sendJson(response, 400, { errors: [{ code: 'DIGEST_INVALID', message: 'no' }] });
    stored.set(digestOf(bytes), bytes);
    response.writeHead(201, { 'docker-content-digest': digestOf(bytes) }).end();
  };
  return { answering, received, stored };
}

function repositoryAt(server: SmallServer, settings: Partial<RegistrySettings> = {}) {
  return createRegistryClient(testSettings(settings)).repository({ domain: server.host, path: 'a' }, null);
}

const methods = (server: SmallServer): string => server.asked.map(({ method }) => method).join(' ');

test('uploadBlob: skipped when there, else one PUT with all of it, told as it goes', async () => {
  const { answering, stored } = shelf();
  await using server = await smallServer(answering);
  const sent: number[] = [];
  const repository = repositoryAt(server);
  assert.deepEqual(await repository.uploadBlob(uploadOf(blob, { onProgress: (bytes) => sent.push(bytes) })), { kind: 'uploaded' });
  assert.equal(methods(server), 'HEAD POST PUT');
  assert.deepEqual(stored.get(digest), blob);
  assert.equal(server.asked[2]?.headers['content-length'], String(blob.length));
  assert.equal(sent.at(-1), blob.length);
  assert.deepEqual(await repository.uploadBlob(uploadOf(blob)), { kind: 'exists' });
  assert.deepEqual(await repository.uploadBlob(uploadOf(Buffer.alloc(0))), { kind: 'uploaded' });
});

test('uploadBlob: mounted from the first source that is allowed; an upload opened instead is used or cancelled', async () => {
  const { answering, received } = shelf({ mounts: ['c'] });
  await using server = await smallServer(answering);
  assert.deepEqual(await repositoryAt(server).uploadBlob(uploadOf(blob, { mountFrom: ['b', 'a', 'c', 'd'] })), {
    kind: 'mounted',
    from: 'c',
  });
  assert.equal(methods(server), 'HEAD POST DELETE POST');
  assert.equal(received.size, 0);
  assert.deepEqual(await repositoryAt(server).uploadBlob(uploadOf(blob, { mountFrom: ['b'] })), { kind: 'uploaded' });
  assert.equal(methods(server), 'HEAD POST DELETE POST HEAD POST PUT');
});

test('FAULT uploadBlob: a PUT that is cut goes on by chunks from where the registry is', async () => {
  const { answering, received, stored } = shelf({
    onPut: ({ body }, response) => {
      if (body.length === 0) return;
      // What came before the connection broke.
      received.set('u1', body.subarray(0, 100_000));
      response.destroy();
    },
  });
  await using server = await smallServer(answering);
  assert.deepEqual(await repositoryAt(server).uploadBlob(uploadOf(blob)), { kind: 'uploaded' });
  assert.equal(methods(server), 'HEAD POST PUT GET PATCH PUT');
  assert.equal(server.asked[4]?.headers['content-range'], '100000-299999');
  assert.deepEqual(stored.get(digest), blob);
});

test('FAULT uploadBlob: an upload that the registry forgot starts again; a proxy’s limit on requests is met by chunks', async () => {
  let isFirst = true;
  const forgetful = shelf({
    onPut: (_, response) => {
      if (!isFirst) return;
      isFirst = false;
      forgetful.received.delete('u1');
      response.destroy();
    },
  });
  await using server = await smallServer(forgetful.answering);
  await repositoryAt(server).uploadBlob(uploadOf(blob));
  assert.deepEqual(forgetful.stored.get(digest), blob);
  const small = shelf({ onPut: ({ body }, response) => void (body.length > 0 && response.writeHead(413).end()) });
  await using bounded = await smallServer(small.answering);
  await repositoryAt(bounded).uploadBlob(uploadOf(blob));
  assert.equal(methods(bounded), 'HEAD POST PUT POST PATCH PUT');
  assert.deepEqual(small.stored.get(digest), blob);
});

test('FAULT uploadBlob: busy is waited for, down is given up, what is refused is not repeated', async () => {
  let busy = 1;
  const { answering, stored } = shelf({
    onPut: (_, response) => void (busy-- > 0 && response.writeHead(503, { 'retry-after': '0' }).end()),
  });
  await using server = await smallServer(answering);
  await repositoryAt(server).uploadBlob(uploadOf(blob));
  assert.deepEqual(stored.get(digest), blob);
  await using down = await smallServer(
    shelf({ onPut: (_, response) => void response.writeHead(500).end(), onPatch: (_, response) => void response.writeHead(500).end() })
      .answering,
  );
  await assert.rejects(
    repositoryAt(down, { maxAttempts: 2 }).uploadBlob(uploadOf(blob)),
    (thrown) => thrown instanceof RegistryError && thrown.failure.status === 500,
  );
  const denied = { errors: [{ code: 'DENIED', message: 'requested access to the resource is denied' }] };
  await using refusing = await smallServer(({ method }, response) =>
    method === 'HEAD' ? void response.writeHead(404).end() : sendJson(response, 403, denied),
  );
  await assert.rejects(
    repositoryAt(refusing).uploadBlob(uploadOf(blob, { mountFrom: ['b'] })),
    /^RegistryError: denied: requested access to the resource is denied$/,
  );
  assert.equal(methods(refusing), 'HEAD POST POST');
});

test('SEC-23 uploadBlob: a source that ends early, or is something else, is never stored', async () => {
  const { answering, stored } = shelf();
  await using server = await smallServer(answering);
  const short = uploadOf(blob, { sizeBytes: blob.length + 1 });
  await assert.rejects(repositoryAt(server).uploadBlob(short), /ended 1 bytes before its size/);
  await assert.rejects(repositoryAt(server).uploadBlob({ ...uploadOf(blob), digest: digestOf('other') }), /digest invalid/);
  assert.equal(stored.size, 0);
});

test('uploadBlob: the least size of chunks is kept to', async () => {
  const least = 17 * 1024 * 1024;
  const large = Buffer.alloc(least + 5, 7);
  const { answering, stored } = shelf({
    leastChunk: least,
    onPut: ({ body }, response) => void (body.length > 0 && response.writeHead(413).end()),
  });
  await using server = await smallServer(answering);
  await repositoryAt(server).uploadBlob(uploadOf(large));
  assert.deepEqual(
    server.asked.filter(({ method }) => method === 'PATCH').map(({ headers }) => headers['content-range']),
    [`0-${least - 1}`, `${least}-${least + 4}`],
  );
  assert.ok(stored.has(digestOf(large)));
});

test('uploadBlob: an abort ends it with its reason', async () => {
  const leave = new Error('enough');
  const controller = new AbortController();
  await using server = await smallServer(shelf().answering);
  const upload = uploadOf(blob, { onProgress: () => controller.abort(leave) });
  await assert.rejects(repositoryAt(server).uploadBlob(upload, controller.signal), leave);
});
