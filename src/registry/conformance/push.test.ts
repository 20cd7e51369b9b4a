/** OCI distribution specification v1.1, "Push". */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mediaTypes } from '../../oci/manifest.ts';
import {
  beginUpload,
  blobOf,
  descriptorOf,
  errorCodes,
  indexOf,
  type Material,
  manifestOf,
  pushBlob,
  pushImage,
  putManifest,
  rawRequest,
} from '../testing/registry-material.ts';
import { startTestRegistry, type TestRegistry } from '../testing/test-registry.ts';

let server: TestRegistry;
let origin: string;
before(async () => {
  server = await startTestRegistry();
  ({ origin } = server);
});
after(() => server[Symbol.asyncDispose]());

const send = (method: string, url: string, body: Buffer | string = '', headers: Readonly<Record<string, string>> = {}) =>
  fetch(url, { method, headers, ...(body.length > 0 ? { body: new Uint8Array(Buffer.from(body as string)) } : {}) });
const chunk = (url: string, text: string, start: number) =>
  send('PATCH', url, text, { 'content-range': `${start}-${start + text.length - 1}` });
const placeOf = (answer: Response) => new URL(answer.headers.get('location') ?? 'none:', origin).href;

async function assertPullable(location: string, blob: Material): Promise<void> {
  const answer = await fetch(location);
  assert.equal(answer.status, 200);
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), blob.bytes);
}

test('push.1 a manifest whose subject is not there is taken', async () => {
  const config = blobOf('{"config":1}');
  await pushBlob(origin, 'push/subject', config);
  const subject = descriptorOf(blobOf('no such manifest'), mediaTypes.ociManifest);
  const answer = await putManifest(origin, 'push/subject', 'v1', manifestOf(config, [], { subject }));
  assert.equal(answer.status, 201);
});

test('push.2 a manifest that names what is not in the repository is refused with MANIFEST_BLOB_UNKNOWN', async () => {
  const [config, layer] = [blobOf('{"config":2}'), blobOf('elsewhere')];
  await pushBlob(origin, 'push/missing', config);
  await pushBlob(origin, 'push/elsewhere', layer);
  const image = manifestOf(config, [layer]);
  const refused = await putManifest(origin, 'push/missing', 'v1', image);
  assert.equal(refused.status, 404);
  assert.deepEqual(await errorCodes(refused), ['MANIFEST_BLOB_UNKNOWN']);
  const index = await putManifest(origin, 'push/missing', 'v1', indexOf([image]), mediaTypes.ociIndex);
  assert.deepEqual([index.status, await errorCodes(index)], [404, ['MANIFEST_BLOB_UNKNOWN']]);
  assert.equal((await fetch(`${origin}/v2/push/missing/manifests/v1`)).status, 404);
});

test('end-4a.1 POST begins an upload: 202 and Location', async () => {
  for (const path of ['push/begin/blobs/uploads/', 'push/begin/blobs/uploads']) {
    const answer = await send('POST', `${origin}/v2/${path}`);
    assert.equal(answer.status, 202);
    assert.ok(answer.headers.get('location'));
  }
});

test('end-4a.2 Location has a UUID, each its own', async () => {
  const places = await Promise.all([beginUpload(origin, 'push/begin'), beginUpload(origin, 'push/begin')]);
  for (const place of places) assert.match(place, /\/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  assert.notEqual(places[0], places[1]);
});

test('end-6.1 PUT of the whole after POST: 201 and the Location of a blob that can be pulled', async () => {
  const blob = blobOf('monolithic');
  const answer = await send('PUT', `${await beginUpload(origin, 'push/put')}?digest=${blob.digest}`, blob.bytes);
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.get('docker-content-digest'), blob.digest);
  await assertPullable(placeOf(answer), blob);
});

test('end-4b.1 a single POST with digest: 201 and the Location of a blob that can be pulled', async () => {
  const blob = blobOf('in one');
  const answer = await send('POST', `${origin}/v2/push/post/blobs/uploads/?digest=${blob.digest}`, blob.bytes);
  assert.equal(answer.status, 201);
  await assertPullable(placeOf(answer), blob);
});

test('end-4b.2 content that is not of the digest is refused with DIGEST_INVALID and leaves nothing', async () => {
  const [blob, other] = [blobOf('this'), blobOf('that')];
  for (const digest of [other.digest, 'sha256:12', `sha512:${'a'.repeat(128)}`, 'x']) {
    const single = await send('POST', `${origin}/v2/push/wrong/blobs/uploads/?digest=${digest}`, blob.bytes);
    assert.deepEqual([single.status, await errorCodes(single)], [400, ['DIGEST_INVALID']], digest);
  }
  const place = await beginUpload(origin, 'push/wrong');
  const put = await send('PUT', `${place}?digest=${other.digest}`, blob.bytes);
  assert.deepEqual([put.status, await errorCodes(put)], [400, ['DIGEST_INVALID']]);
  assert.equal((await fetch(place)).status, 404);
  for (const { digest } of [blob, other]) assert.equal((await fetch(`${origin}/v2/push/wrong/blobs/${digest}`)).status, 404);
});

test('end-5.1 each chunk: 202, Location, and Range to the last byte', async () => {
  let place = await beginUpload(origin, 'push/chunks');
  for (const [start, text, range] of [
    [0, 'abc', '0-2'],
    [3, 'd', '0-3'],
    [4, 'efgh', '0-7'],
  ] as const) {
    const answer = await chunk(place, text, start);
    assert.deepEqual([answer.status, answer.headers.get('range')], [202, range]);
    place = placeOf(answer);
  }
  const blob = blobOf('abcdefgh');
  const done = await send('PUT', `${place}?digest=${blob.digest}`);
  assert.equal(done.status, 201);
  await assertPullable(placeOf(done), blob);
});

test('end-5.2 ranges are <first>-<last>; the first begins with 0; length and range agree', async () => {
  const place = await beginUpload(origin, 'push/ranges');
  assert.equal((await chunk(place, 'abc', 1)).status, 416);
  for (const range of ['x', '3', '-3', '5-3', '0-', 'bytes 0-2-4'])
    assert.equal((await send('PATCH', place, 'abc', { 'content-range': range })).status, 416, range);
  const longer = await send('PATCH', place, 'abc', { 'content-range': '0-5' });
  assert.deepEqual([longer.status, await errorCodes(longer)], [400, ['SIZE_INVALID']]);
  assert.equal((await chunk(place, 'abc', 0)).status, 202);
});

test('end-5.3 a chunk out of order: 416 with Location and Range, and what came stays', async () => {
  const place = await beginUpload(origin, 'push/order');
  assert.equal((await chunk(place, 'abc', 0)).status, 202);
  for (const start of [0, 2, 4, 100]) {
    const answer = await chunk(place, 'def', start);
    assert.deepEqual([answer.status, answer.headers.get('range')], [416, '0-2'], String(start));
    assert.equal(placeOf(answer), place);
  }
  const blob = blobOf('abcdef');
  assert.equal((await chunk(place, 'def', 3)).status, 202);
  assert.equal((await send('PUT', `${place}?digest=${blob.digest}`)).status, 201);
});

test('end-5.4 PATCH without Content-Range streams on (Docker); an upload that is unknown is 404 BLOB_UPLOAD_UNKNOWN', async () => {
  const place = await beginUpload(origin, 'push/stream');
  assert.equal((await send('PATCH', place, 'abc')).headers.get('range'), '0-2');
  assert.equal((await send('PATCH', place, 'def')).headers.get('range'), '0-5');
  const unknown = await chunk(place.replace(/.{4}$/, '0000'), 'x', 0);
  assert.deepEqual([unknown.status, await errorCodes(unknown)], [404, ['BLOB_UPLOAD_UNKNOWN']]);
});

test('end-6.2 the closing PUT needs the digest', async () => {
  const place = await beginUpload(origin, 'push/close');
  await chunk(place, 'abc', 0);
  const answer = await send('PUT', place);
  assert.deepEqual([answer.status, await errorCodes(answer)], [400, ['DIGEST_INVALID']]);
  assert.equal((await fetch(place)).status, 204);
});

test('end-6.3 the final chunk may come with the closing PUT: 201 and a blob that can be pulled', async () => {
  const place = await beginUpload(origin, 'push/final');
  await chunk(place, 'abc', 0);
  const blob = blobOf('abcdef');
  const early = await send('PUT', `${place}?digest=${blob.digest}`, 'def', { 'content-range': '4-6' });
  assert.equal(early.status, 416);
  const done = await send('PUT', `${place}?digest=${blob.digest}`, 'def', { 'content-range': '3-5' });
  assert.equal(done.status, 201);
  await assertPullable(placeOf(done), blob);
  assert.equal((await fetch(place)).status, 404);
});

test('end-13.1 GET of an upload: 204, Location, Range; its DELETE: 204, and it is gone', async () => {
  const place = await beginUpload(origin, 'push/status');
  await chunk(place, 'abcd', 0);
  const status = await fetch(place);
  assert.deepEqual([status.status, status.headers.get('range'), placeOf(status)], [204, '0-3', place]);
  assert.equal((await send('DELETE', place)).status, 204);
  for (const method of ['GET', 'DELETE', 'PATCH', 'PUT'])
    assert.equal((await send(method, `${place}?digest=${blobOf('x').digest}`)).status, 404, method);
});

test('end-11.1 a mount: 201 and the Location of a blob that can be pulled', async () => {
  const blob = blobOf('mounted');
  await pushBlob(origin, 'push/from', blob);
  const answer = await send('POST', `${origin}/v2/push/to/blobs/uploads/?mount=${blob.digest}&from=push/from`);
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.get('docker-content-digest'), blob.digest);
  await assertPullable(placeOf(answer), blob);
  assert.match(placeOf(answer), /\/v2\/push\/to\//);
});

test('end-11.2 a mount that cannot be: 202 and an upload', async () => {
  const blob = blobOf('not there');
  for (const query of [`mount=${blob.digest}&from=push/none`, `mount=${blob.digest}&from=A..B`, `mount=${blob.digest}`]) {
    const answer = await send('POST', `${origin}/v2/push/mount/blobs/uploads/?${query}`);
    assert.equal(answer.status, 202, query);
    assert.equal((await fetch(placeOf(answer))).status, 204);
  }
});

test('end-7.1 a manifest is kept in the exact bytes that came', async () => {
  const config = blobOf('{"config":7}');
  await pushBlob(origin, 'push/exact', config);
  const spaced = blobOf(`\n  ${manifestOf(config, []).bytes.toString().replaceAll(',', ' ,\t\r\n')}\n\n`);
  assert.equal((await putManifest(origin, 'push/exact', 'v1', spaced)).status, 201);
  const answer = await fetch(`${origin}/v2/push/exact/manifests/v1`);
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), spaced.bytes);
});

test('end-7.2 PUT of a manifest: 201 and the Location of a manifest that can be pulled; parameters of the type are ignored', async () => {
  const config = blobOf('{"config":72}');
  await pushBlob(origin, 'push/located', config);
  const manifest = manifestOf(config, []);
  for (const reference of ['v1', manifest.digest]) {
    const answer = await putManifest(origin, 'push/located', reference, manifest, `${mediaTypes.ociManifest}; charset=utf-8`);
    assert.equal(answer.status, 201);
    const pulled = await fetch(placeOf(answer));
    assert.deepEqual([pulled.status, pulled.headers.get('content-type')], [200, mediaTypes.ociManifest]);
  }
});

test('end-7.3 the digest of the answer is the one that the client gave; another one is refused', async () => {
  const manifest = await pushImage(origin, 'push/digest', 'v1');
  const answer = await putManifest(origin, 'push/digest', manifest.digest, manifest);
  assert.equal(answer.headers.get('docker-content-digest'), manifest.digest);
  const wrong = await putManifest(origin, 'push/digest', blobOf('x').digest, manifest);
  assert.deepEqual([wrong.status, await errorCodes(wrong)], [400, ['DIGEST_INVALID']]);
});

test('end-7.4 a manifest of 4 MiB is taken, a larger one is 413', async () => {
  const config = blobOf('{"config":74}');
  await pushBlob(origin, 'push/large', config);
  const padded = (sizeBytes: number) => {
    const empty = manifestOf(config, [], { annotations: { pad: '' } }).bytes.length;
    return manifestOf(config, [], { annotations: { pad: 'x'.repeat(sizeBytes - empty) } });
  };
  assert.equal((await putManifest(origin, 'push/large', 'v1', padded(4 * 1024 * 1024))).status, 201);
  const refused = await putManifest(origin, 'push/large', 'v2', padded(4 * 1024 * 1024 + 1));
  assert.equal(refused.status, 413);
});

test('end-7.5 OCI-Subject answers a manifest with a subject', async () => {
  const subject = await pushImage(origin, 'push/signed', 'v1');
  const config = blobOf('{}');
  await pushBlob(origin, 'push/signed', config);
  const signature = manifestOf(config, [], { subject: descriptorOf(subject, mediaTypes.ociManifest) });
  const answer = await putManifest(origin, 'push/signed', signature.digest, signature);
  assert.deepEqual([answer.status, answer.headers.get('oci-subject')], [201, subject.digest]);
  assert.equal((await putManifest(origin, 'push/signed', 'v1', subject)).headers.get('oci-subject'), null);
});

test('end-7.6 a push by digest may give tags with it: OCI-Tag says which', async () => {
  const manifest = await pushImage(origin, 'push/tags', 'v1');
  const answer = await putManifest(origin, 'push/tags', `${manifest.digest}?tag=a&tag=b`, manifest);
  assert.deepEqual([answer.status, answer.headers.get('oci-tag')], [201, 'a, b']);
  for (const tag of ['a', 'b']) assert.equal((await fetch(`${origin}/v2/push/tags/manifests/${tag}`)).status, 200);
  assert.equal((await putManifest(origin, 'push/tags', `${manifest.digest}?tag=-`, manifest)).status, 400);
});

test('SEC-24: a manifest that can be read in two ways is refused with MANIFEST_INVALID', async () => {
  const image = await pushImage(origin, 'push/ambiguous', 'v1');
  const good = image.bytes.toString();
  const cases: readonly (readonly [string, string, string?])[] = [
    ['manifests and layers', good.replace('"layers"', '"manifests":[],"layers"')],
    [
      'an index with layers',
      good.replace(mediaTypes.ociManifest, mediaTypes.ociIndex).replace('"layers"', '"manifests":[],"layers"'),
      mediaTypes.ociIndex,
    ],
    ['mediaType and Content-Type', good, mediaTypes.dockerManifest],
    ['duplicate key', good.replace('"layers"', '"config":{},"layers"')],
    ['case variant', good.replace('"layers"', '"Layers":[],"layers"')],
    ['Kelvin sign', good.replace('"schemaVersion"', '"ſchemaVersion":1,"schemaVersion"')],
    ['case variant in a descriptor', good.replace('"digest"', '"Digest":"x","digest"')],
    ['no schemaVersion', good.replace('"schemaVersion":2,', '')],
    ['schema 1', good.replace('"schemaVersion":2', '"schemaVersion":1')],
    ['not JSON', good.slice(1)],
    ['a list', '[]'],
    ['nothing', ''],
    ['bad digest', good.replace(/sha256:[0-9a-f]{64}/, 'sha256:../../x')],
    ['no layers', good.replace(/,"layers":\[.*\]/, '')],
    ['negative size', good.replace(/"size":\d+/, '"size":-1')],
    ['no media type', good, 'nonsense'],
  ];
  for (const [name, text, type] of cases) {
    const answer = await putManifest(origin, 'push/ambiguous', 'v2', blobOf(text), type);
    assert.equal(answer.status, 400, `${name}: ${await answer.clone().text()}`);
    assert.deepEqual(await errorCodes(answer), ['MANIFEST_INVALID'], name);
  }
  assert.equal((await fetch(`${origin}/v2/push/ambiguous/manifests/v2`)).status, 404);
});

test('SEC-25: paths that climb, encoded or not, bad digests and ids of other repositories are a 4xx, and nothing outside is touched', async () => {
  const mine = await beginUpload(origin, 'push/mine');
  const id = mine.split('/').at(-1);
  const paths = [
    '/v2/../../etc/passwd',
    '/v2/a/../b/manifests/v1',
    '/v2/%2e%2e/%2e%2e/manifests/v1',
    '/v2/a%2f..%2fb/manifests/v1',
    '/v2/a/blobs/..%2f..%2fregistry.db',
    '/v2/a/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd',
    '/v2/a/blobs/sha256:%00',
    '/v2/a/manifests/..',
    '/v2/a/manifests/%2e%2e',
    '/v2/a/blobs/uploads/..',
    '/v2/a/blobs/uploads/%2e%2e%2fx',
    '/v2/a/%/manifests/v1',
    '/v2/a/%ff/manifests/v1',
    `/v2/push/other/blobs/uploads/${id}`,
    `/v2/push/mine/../other/blobs/uploads/${id}`,
  ];
  for (const path of paths) {
    for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'POST']) {
      const { status } = await rawRequest(origin, method, path, {}, method === 'PUT' || method === 'PATCH' ? 'x' : '');
      assert.ok(status >= 400 && status < 500, `${method} ${path}: ${status}`);
    }
  }
  assert.equal((await fetch(mine)).status, 204);
});

test('SEC-29: a manifest of 1 GiB is refused before it comes', async () => {
  const answer = await rawRequest(
    origin,
    'PUT',
    '/v2/push/huge/manifests/v1',
    { 'content-length': String(1024 ** 3), connection: 'close' },
    'x',
  ).catch((thrown: unknown) => thrown as { status: number });
  assert.equal((answer as { status: number }).status, 413);
});
