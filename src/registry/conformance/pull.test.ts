/** OCI distribution specification v1.1, "Determining Support" and "Pull". Titles begin with the id that docs/registry-conformance.md gives a requirement. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mediaTypes } from '../../oci/manifest.ts';
import { refusalOf } from '../http/refuse.ts';
import { RegistryRefusal, refusalCodes } from '../registry-refusal.ts';
import { blobOf, errorCodes, indexOf, manifestOf, pushBlob, pushImage, putManifest, rawRequest } from '../testing/registry-material.ts';
import { startTestRegistry, type TestRegistry } from '../testing/test-registry.ts';

let server: TestRegistry;
let origin: string;
before(async () => {
  server = await startTestRegistry();
  ({ origin } = server);
});
after(() => server[Symbol.asyncDispose]());

const nowhere = `sha256:${'0'.repeat(64)}`;

test('end-1.1 GET /v2/ answers 200, with Docker-Distribution-API-Version for old clients', async () => {
  for (const path of ['/v2/', '/v2']) {
    const answer = await fetch(origin + path);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('docker-distribution-api-version'), 'registry/2.0');
  }
  assert.equal((await fetch(`${origin}/v1/_ping`)).status, 404);
});

test('end-3.1 a reference is a digest or a tag, nothing else; what cannot be one is a 4xx', async () => {
  await pushImage(origin, 'pull/reference', 'v1');
  for (const reference of [
    '-x',
    '.x',
    'a%20b',
    'sha256:12',
    `sha256:${'g'.repeat(64)}`,
    `sha256:${'A'.repeat(64)}`,
    'a'.repeat(129),
    'tag@x',
    'sha256:',
  ]) {
    const answer = await fetch(`${origin}/v2/pull/reference/manifests/${reference}`);
    assert.ok(answer.status === 400 || answer.status === 404, `${reference}: ${answer.status}`);
  }
  // Well formed, of an algorithm that is not kept: not found, as the specification has it.
  assert.equal((await fetch(`${origin}/v2/pull/reference/manifests/sha512:${'a'.repeat(128)}`)).status, 404);
  assert.equal((await fetch(`${origin}/v2/pull/reference/blobs/sha512:${'a'.repeat(128)}`)).status, 404);
});

test('end-3.2 names match the grammar; others are NAME_INVALID', async () => {
  for (const name of ['a', 'a/b/c', 'a.b/c_d/e__f/g--h-i', '0/1', 'manifests/x', 'a/blobs/uploads', 'tags/list', 'a'.repeat(255)]) {
    await pushImage(origin, name, 'v1', name);
    assert.equal((await fetch(`${origin}/v2/${name}/manifests/v1`)).status, 200, name);
    assert.equal((await fetch(`${origin}/v2/${name}/tags/list`)).status, 200, name);
  }
  for (const name of ['A', 'a/B', '-a', 'a-', 'a..b', 'a___b', 'a/', 'a//b', '_a', 'a/-b', 'ü', 'a b', 'a'.repeat(256)]) {
    const answer = await fetch(`${origin}/v2/${encodeURI(name)}/manifests/v1`);
    assert.equal(answer.status, 400, name);
    assert.deepEqual(await errorCodes(answer), ['NAME_INVALID'], name);
  }
});

test('end-3.3 tags have up to 128 characters of the grammar', async () => {
  for (const tag of ['_', 'V1.0-rc_2', 'a'.repeat(128), '0']) {
    const manifest = await pushImage(origin, 'pull/tags', tag, tag);
    const answer = await fetch(`${origin}/v2/pull/tags/manifests/${tag}`);
    assert.equal(answer.headers.get('docker-content-digest'), manifest.digest, tag);
  }
});

test('end-3.4 GET of a manifest, by tag and by digest, answers 200 with its very bytes, type and digest', async () => {
  const manifest = await pushImage(origin, 'pull/manifest', 'v1');
  for (const reference of ['v1', manifest.digest, encodeURIComponent(manifest.digest)]) {
    const answer = await fetch(`${origin}/v2/pull/manifest/manifests/${reference}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), mediaTypes.ociManifest);
    assert.equal(answer.headers.get('docker-content-digest'), manifest.digest);
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), manifest.bytes);
  }
});

test('end-3.5 GET of a manifest that is not there, or of another repository, answers 404 MANIFEST_UNKNOWN', async () => {
  const manifest = await pushImage(origin, 'pull/one', 'v1');
  for (const path of [
    'pull/one/manifests/v2',
    `pull/one/manifests/${nowhere}`,
    `pull/two/manifests/${manifest.digest}`,
    'pull/two/manifests/v1',
  ]) {
    const answer = await fetch(`${origin}/v2/${path}`);
    assert.equal(answer.status, 404, path);
    assert.deepEqual(await errorCodes(answer), ['MANIFEST_UNKNOWN'], path);
  }
});

test('end-3.6 HEAD of a manifest answers 200 with digest and length, and no body', async () => {
  const manifest = await pushImage(origin, 'pull/head', 'v1');
  const answer = await rawRequest(origin, 'HEAD', '/v2/pull/head/manifests/v1');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-length'], String(manifest.bytes.length));
  assert.equal(answer.headers['docker-content-digest'], manifest.digest);
  assert.equal(answer.text, '');
});

test('end-3.7 HEAD of a manifest that is not there answers 404', async () => {
  assert.equal((await fetch(`${origin}/v2/pull/head/manifests/none`, { method: 'HEAD' })).status, 404);
});

test('end-3.8 a tag that names an index gives a client of before indexes its linux/amd64 image, everybody else the index', async () => {
  const image = await pushImage(origin, 'pull/accept', 'image');
  const platform = { os: 'linux', architecture: 'amd64' };
  const index = indexOf([], {
    manifests: [{ mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.bytes.length, platform }],
  });
  assert.equal((await putManifest(origin, 'pull/accept', 'index', index, mediaTypes.ociIndex)).status, 201);
  const get = async (accept: string | null, reference = 'index') => {
    const answer = await fetch(`${origin}/v2/pull/accept/manifests/${reference}`, { headers: accept === null ? {} : { accept } });
    assert.equal(answer.status, 200);
    return answer.headers.get('docker-content-digest');
  };
  assert.equal(await get(null), index.digest);
  assert.equal(await get('*/*'), index.digest);
  assert.equal(await get(`${mediaTypes.ociManifest}, ${mediaTypes.ociIndex}`), index.digest);
  assert.equal(await get(mediaTypes.ociManifest), image.digest);
  assert.equal(await get('text/plain'), index.digest);
  assert.equal(await get(mediaTypes.ociManifest, index.digest), index.digest);
});

test('end-3.9 If-None-Match with the digest answers 304', async () => {
  const manifest = await pushImage(origin, 'pull/etag', 'v1');
  const get = (tag: string) => fetch(`${origin}/v2/pull/etag/manifests/v1`, { headers: { 'if-none-match': tag } });
  assert.equal((await get(`"${manifest.digest}"`)).status, 304);
  assert.equal((await get(`W/"other", "${manifest.digest}"`)).status, 304);
  assert.equal((await get('"other"')).status, 200);
});

test('end-2.1 GET of a blob answers 200 with its bytes', async () => {
  const blob = blobOf(Buffer.alloc(3_000_000, 'blob'));
  await pushBlob(origin, 'pull/blob', blob);
  const answer = await fetch(`${origin}/v2/pull/blob/blobs/${blob.digest}`);
  assert.equal(answer.status, 200);
  assert.ok(Buffer.from(await answer.arrayBuffer()).equals(blob.bytes));
});

test('end-2.2 Docker-Content-Digest of a blob is that of the body', async () => {
  const blob = blobOf('content');
  await pushBlob(origin, 'pull/blob', blob);
  const answer = await fetch(`${origin}/v2/pull/blob/blobs/${blob.digest}`);
  assert.equal(answer.headers.get('docker-content-digest'), blobOf(Buffer.from(await answer.arrayBuffer())).digest);
  const empty = blobOf('');
  await pushBlob(origin, 'pull/blob', empty);
  const none = await fetch(`${origin}/v2/pull/blob/blobs/${empty.digest}`);
  assert.deepEqual([none.status, none.headers.get('content-length'), await none.text()], [200, '0', '']);
});

test('end-2.3 GET of a blob that is not there answers 404 BLOB_UNKNOWN', async () => {
  const answer = await fetch(`${origin}/v2/pull/blob/blobs/${nowhere}`);
  assert.equal(answer.status, 404);
  assert.deepEqual(await errorCodes(answer), ['BLOB_UNKNOWN']);
});

test('end-2.4 HEAD of a blob answers 200 with digest and length', async () => {
  const blob = blobOf('head me');
  await pushBlob(origin, 'pull/blob', blob);
  const answer = await rawRequest(origin, 'HEAD', `/v2/pull/blob/blobs/${blob.digest}`);
  assert.deepEqual(
    [answer.status, answer.headers['content-length'], answer.headers['docker-content-digest'], answer.text],
    [200, '7', blob.digest, ''],
  );
});

test('end-2.5 HEAD of a blob that is not there answers 404', async () => {
  assert.equal((await fetch(`${origin}/v2/pull/blob/blobs/${nowhere}`, { method: 'HEAD' })).status, 404);
});

test('end-2.6 Range: 206 for one, 416 for none, the whole for several, If-Range heeded', async () => {
  const blob = blobOf('0123456789');
  await pushBlob(origin, 'pull/range', blob);
  const get = async (range: string, more: Readonly<Record<string, string>> = {}) => {
    const answer = await fetch(`${origin}/v2/pull/range/blobs/${blob.digest}`, { headers: { range, ...more } });
    return [answer.status, answer.headers.get('content-range'), answer.ok ? await answer.text() : ''];
  };
  assert.deepEqual(await get('bytes=0-0'), [206, 'bytes 0-0/10', '0']);
  assert.deepEqual(await get('bytes=3-5'), [206, 'bytes 3-5/10', '345']);
  assert.deepEqual(await get('bytes=7-'), [206, 'bytes 7-9/10', '789']);
  assert.deepEqual(await get('bytes=-2'), [206, 'bytes 8-9/10', '89']);
  assert.deepEqual(await get('bytes=0-99'), [206, 'bytes 0-9/10', '0123456789']);
  assert.deepEqual(await get('bytes=-99'), [206, 'bytes 0-9/10', '0123456789']);
  assert.deepEqual(await get('bytes=10-'), [416, 'bytes */10', '']);
  assert.deepEqual(await get('bytes=-0'), [416, 'bytes */10', '']);
  assert.deepEqual(await get('bytes=0-1,4-5'), [200, null, '0123456789']);
  for (const range of ['bytes=5-3', 'lines=1-2', 'bytes=x-y', 'bytes=-'])
    assert.deepEqual(await get(range), [200, null, '0123456789'], range);
  assert.deepEqual(await get('bytes=3-5', { 'if-range': `"${blob.digest}"` }), [206, 'bytes 3-5/10', '345']);
  assert.deepEqual(await get('bytes=3-5', { 'if-range': '"other"' }), [200, null, '0123456789']);
});

test('end-3.10 an attempt to pull from a repository that does not exist answers 404', async () => {
  for (const path of ['none/manifests/v1', `none/blobs/${nowhere}`, 'none/tags/list'])
    assert.equal((await fetch(`${origin}/v2/${path}`)).status, 404, path);
});

test('errors.1 a 4xx has a JSON body of errors with code and message', async () => {
  for (const path of ['none/manifests/v1', 'A/tags/list', `x/blobs/${nowhere}`, 'x/blobs/sha256:1', 'x/y/z']) {
    const answer = await fetch(`${origin}/v2/${path}`);
    assert.equal(answer.headers.get('content-type'), 'application/json');
    const { errors } = (await answer.json()) as { errors: { code: string; message: string }[] };
    assert.equal(errors.length, 1);
    assert.match(errors[0]?.code ?? '', /^[A-Z_]+$/);
    assert.equal(typeof errors[0]?.message, 'string');
  }
});

test('errors.2 methods that an endpoint does not have are 405 UNSUPPORTED with Allow', async () => {
  const answer = await fetch(`${origin}/v2/x/tags/list`, { method: 'PUT' });
  assert.deepEqual([answer.status, answer.headers.get('allow'), await errorCodes(answer)], [405, 'GET, HEAD', ['UNSUPPORTED']]);
});

test('errors.3 only codes of the specification are in a 4xx', () => {
  const specified =
    'BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN MANIFEST_INVALID MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED UNSUPPORTED TOOMANYREQUESTS';
  for (const code of refusalCodes) {
    const { status, body } = refusalOf(new RegistryRefusal(code, 'why'));
    const { errors } = JSON.parse(body) as { errors: { code: string }[] };
    assert.ok(status >= 500 || specified.split(' ').includes(errors[0]?.code ?? ''), `${code}: ${body}`);
  }
});

test('manifests of any shape are kept: an artifact without layers', async () => {
  const config = blobOf('{}');
  await pushBlob(origin, 'pull/artifact', config);
  const manifest = manifestOf(config, [], { artifactType: 'application/vnd.example' });
  assert.equal((await putManifest(origin, 'pull/artifact', 'a', manifest)).status, 201);
});
