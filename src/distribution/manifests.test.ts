import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { digestOf } from '../oci/digest.ts';
import { manifestLimitBytes, mediaTypes } from '../oci/manifest.ts';
import { createRegistryClient } from './http-registry-client.ts';
import type { RegistrySettings } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { gather } from './testing/gather.ts';
import { type Answering, type SmallServer, sendJson, smallServer, testSettings } from './testing/small-server.ts';

const blob = { digest: digestOf('x'), size: 1 };
const config = { mediaType: mediaTypes.ociConfig, ...blob };
const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [] };
const encode = (value: unknown) => Buffer.from(JSON.stringify(value));

function repositoryAt(server: SmallServer, settings: Partial<RegistrySettings> = {}) {
  return createRegistryClient(testSettings({ maxAttempts: 1, ...settings })).repository({ domain: server.host, path: 'team/app' }, null);
}

function sendManifest(response: ServerResponse, bytes: Buffer, headers: Readonly<Record<string, string>> = {}): void {
  const own = { 'content-type': mediaTypes.ociManifest, 'docker-content-digest': digestOf(bytes), 'content-length': String(bytes.length) };
  response.writeHead(200, { ...own, ...headers }).end(bytes);
}

async function failure(asking: Promise<unknown>): Promise<RegistryError> {
  const thrown = await asking.then(
    () => assert.fail('it was taken'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof RegistryError, String(thrown));
  return thrown;
}

test('manifest, describe: the bytes as they came, what they are by HEAD, null for none', async () => {
  const bytes = encode(manifest);
  await using server = await smallServer(({ path }, response) =>
    path.endsWith('/v1')
      ? sendManifest(response, bytes)
      : sendJson(response, 404, { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }),
  );
  const repository = repositoryAt(server);
  const descriptor = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length };
  assert.deepEqual(await repository.manifest('v1'), { descriptor, bytes, from: server.host });
  assert.deepEqual(await repository.describe('v1'), descriptor);
  assert.equal(server.lines().at(-1), 'HEAD /v2/team/app/manifests/v1');
  assert.equal(await repository.describe('v2'), null);
  const error = await failure(repository.manifest('v2'));
  assert.equal(error.message, `manifest for ${server.host}/team/app:v2 not found: manifest unknown: manifest unknown`);
  assert.deepEqual([error.code, error.failure.registryCode], ['not-found', 'MANIFEST_UNKNOWN']);
  for (const type of Object.values(mediaTypes).filter((name) => /index|manifest/.test(name)))
    assert.ok(server.asked[0]?.headers.accept?.includes(type), type);
});

test('describe: a registry whose HEAD says too little is asked by GET', async () => {
  const bytes = encode(manifest);
  await using server = await smallServer(({ method }, response) =>
    method === 'HEAD' ? void response.writeHead(200).end() : sendManifest(response, bytes),
  );
  assert.equal((await repositoryAt(server).describe('v1'))?.digest, digestOf(bytes));
});

test('SEC-23 manifest: bytes that are not what was asked for, or announced, are refused', async () => {
  const bytes = encode(manifest);
  const flipped = Buffer.from(bytes);
  flipped[20] = (flipped[20] ?? 0) ^ 1;
  await using flipping = await smallServer((_, response) => sendManifest(response, flipped));
  assert.match((await failure(repositoryAt(flipping).manifest(digestOf(bytes)))).message, /but asked for was sha256:/);
  await using lying = await smallServer((_, response) => sendManifest(response, bytes, { 'docker-content-digest': digestOf('other') }));
  assert.match((await failure(repositoryAt(lying).manifest('v1'))).message, /but it was announced as sha256:/);
  await using short = await smallServer((_, response) => {
    response.writeHead(200, { 'content-type': mediaTypes.ociManifest, 'content-length': bytes.length });
    response.write(bytes.subarray(0, 10), () => response.destroy());
  });
  assert.match((await failure(repositoryAt(short).manifest('v1'))).message, /did not come whole|EOF/);
});

test('SEC-24 manifest: what two readers would read differently is refused', async () => {
  const cases: readonly (readonly [unknown, string, RegExp])[] = [
    [manifest, mediaTypes.dockerManifest, /was announced as/],
    [manifest, mediaTypes.ociIndex, /was announced as/],
    [{ ...manifest, mediaType: undefined }, mediaTypes.ociIndex, /does not have the fields/],
    [{ ...manifest, manifests: [] }, mediaTypes.ociManifest, /both manifests and layers/],
    [{ ...manifest, Layers: [] }, mediaTypes.ociManifest, /only by case/],
    ['{"schemaVersion":2,"config":{},"layers":[],"layers":[]}', mediaTypes.ociManifest, /twice/],
    [manifest, 'text/html', /announced as/],
  ];
  for (const [document, type, message] of cases) {
    const bytes = typeof document === 'string' ? Buffer.from(document) : encode(document);
    await using server = await smallServer((_, response) => sendManifest(response, bytes, { 'content-type': type }));
    const error = await failure(repositoryAt(server).manifest('v1'));
    assert.match(error.message, message);
    assert.equal(error.code, 'invalid');
  }
});

test('manifest: types that say nothing are taken from the document; schema 1 is refused by name', async () => {
  for (const type of ['application/json', 'application/octet-stream', `${mediaTypes.ociManifest}; charset=utf-8`]) {
    await using server = await smallServer((_, response) => sendManifest(response, encode(manifest), { 'content-type': type }));
    assert.equal((await repositoryAt(server).manifest('v1')).descriptor.mediaType, mediaTypes.ociManifest);
  }
  await using old = await smallServer((_, response) =>
    sendManifest(response, encode({ schemaVersion: 1 }), { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' }),
  );
  assert.match((await failure(repositoryAt(old).manifest('v1'))).message, /schema 1, which is no longer supported/);
});

test('SEC-29 manifest: a gigabyte is not read, announced or not', async () => {
  let sent = 0;
  const chunk = Buffer.alloc(64 * 1024, ' ');
  const endless: Answering = async (_, response) => {
    response.writeHead(200, { 'content-type': mediaTypes.ociManifest });
    while (sent < 2 ** 30 && !response.destroyed) {
      sent += chunk.length;
      if (!response.write(chunk)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
    }
  };
  await using server = await smallServer(endless);
  assert.match((await failure(repositoryAt(server).manifest('v1'))).message, /larger than 4194304 bytes/);
  assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were sent`);
  await using announcing = await smallServer((_, response) => {
    response.writeHead(200, { 'content-type': mediaTypes.ociManifest, 'content-length': 2 ** 30 });
    response.flushHeaders();
  });
  assert.match((await failure(repositoryAt(announcing).manifest('v1'))).message, new RegExp(`larger than ${manifestLimitBytes} bytes`));
});

test('manifest: a refusal in Docker’s words', async () => {
  const cases: readonly (readonly [number, string, string, RegExp])[] = [
    [
      403,
      'DENIED',
      'requested access to the resource is denied',
      /^pull access denied for 127.0.0.1:\d+\/team\/app, repository does not exist or may require 'docker login': denied: requested/,
    ],
    [
      404,
      'NAME_UNKNOWN',
      'repository name not known to registry',
      /^repository 127.0.0.1:\d+\/team\/app not found: name unknown: repository name/,
    ],
    [429, 'TOOMANYREQUESTS', 'You have reached your pull rate limit', /^toomanyrequests: You have reached/],
  ];
  for (const [status, code, message, expected] of cases) {
    await using server = await smallServer((_, response) =>
      sendJson(response, status, { errors: [{ code, message }] }, { 'retry-after': '60' }),
    );
    const error = await failure(repositoryAt(server).manifest('v1'));
    assert.match(error.message, expected);
    assert.equal(error.failure.status, status);
  }
});

test('manifest: a token without the right to read is a denied pull, as Docker says it', async () => {
  const words = { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] };
  await using realm = await smallServer((_, response) => sendJson(response, 200, { token: 'of-anybody' }));
  await using server = await smallServer(({ authorization }, response) =>
    sendJson(response, 401, words, {
      'www-authenticate': `Bearer realm="${realm.url}/t",service="s"${authorization ? ',error="insufficient_scope"' : ''}`,
    }),
  );
  const error = await failure(repositoryAt(server).manifest('v1'));
  assert.match(
    error.message,
    /^pull access denied for .*\/team\/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied$/,
  );
  assert.equal(error.code, 'not-found');
});

test('FAULT manifest: a busy registry is asked again, one that nobody answers for is told at once', async () => {
  let busy = 2;
  await using server = await smallServer((_, response) =>
    busy-- > 0 ? void response.writeHead(503, { 'retry-after': '0' }).end() : sendManifest(response, encode(manifest)),
  );
  await repositoryAt(server).manifest('v1');
  assert.equal(server.asked.length, 3);
  const gone = await smallServer(() => {});
  await gone[Symbol.asyncDispose]();
  const error = await failure(repositoryAt(gone).manifest('v1'));
  assert.equal(error.message, `Get "http://${gone.host}/v2/": dial tcp ${gone.host}: connect: connection refused`);
});

test('SEC-25 manifest, repository: names that would be other paths are refused before anybody is asked', async () => {
  await using server = await smallServer((_, response) => sendManifest(response, encode(manifest)));
  const client = createRegistryClient(testSettings());
  for (const path of ['..', 'a/../b', 'a//b', '/a', 'a/', 'a%2f..', 'A', 'a?b', 'a#b', ''])
    assert.throws(() => client.repository({ domain: server.host, path }, null), /invalid repository name/, path);
  for (const domain of ['', 'a/b', 'a b', 'u:p@h', 'h?x', 'h#x'])
    assert.throws(() => client.repository({ domain, path: 'a' }, null), /invalid registry name/, domain);
  for (const reference of ['../x', 'a/b', '', 'a?b', `sha256:${'A'.repeat(64)}`])
    await assert.rejects(repositoryAt(server).manifest(reference), /invalid tag or digest/);
  assert.equal(server.asked.length, 0);
});

test('deleteManifest: a registry that can’t remove a tag alone is told as one', async () => {
  await using server = await smallServer(({ path }, response) =>
    path.includes('sha256')
      ? void response.writeHead(202).end()
      : sendJson(response, 400, { errors: [{ code: 'DIGEST_INVALID', message: 'no' }] }),
  );
  const error = await failure(repositoryAt(server).deleteManifest('v1'));
  assert.deepEqual(
    [error.code, error.message],
    ['not-implemented', `${server.host} removes no tag alone: delete the manifest by its digest, which takes all of its tags`],
  );
  await repositoryAt(server).deleteManifest(digestOf('x'));
});

test('tags: page by page, on the same server only, never in a circle', async () => {
  let link = '';
  await using server = await smallServer(({ path }, response) => {
    const last = new URL(path, 'http://x').searchParams.get('last');
    if (last === 'b') return sendJson(response, 200, { name: 'team/app', tags: ['c'] });
    sendJson(response, 200, { tags: ['a', 'b'] }, { link: `<${link}>; rel="next"` });
  });
  const list = () => gather(repositoryAt(server).tags());
  link = '/v2/team/app/tags/list?n=2&last=b';
  assert.deepEqual(await list(), ['a', 'b', 'c']);
  assert.equal(server.lines()[0], 'GET /v2/team/app/tags/list?n=1000');
  link = '/v2/team/app/tags/list?n=1000';
  assert.match((await failure(list())).message, /lead in a circle/);
  link = 'http://127.0.0.2:1/v2/team/app/tags/list';
  assert.match((await failure(list())).message, /another server/);
  await using empty = await smallServer((_, response) => sendJson(response, 200, { name: 'a', tags: null }));
  assert.deepEqual(await gather(repositoryAt(empty).tags()), []);
});

const subject = { mediaType: mediaTypes.ociManifest, digest: digestOf('subject'), size: 7 };
const signature = { ...manifest, artifactType: 'application/sig', subject, annotations: { by: 'me' } };

test('referrers: by the API, filtered here where the registry does not', async () => {
  const entry = (artifactType: string) => ({ mediaType: mediaTypes.ociManifest, digest: digestOf(artifactType), size: 1, artifactType });
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [entry('a/sig'), entry('a/sbom')] };
  await using server = await smallServer((_, response) => sendJson(response, 200, index, { 'content-type': mediaTypes.ociIndex }));
  const repository = repositoryAt(server);
  assert.equal((await repository.referrers(subject.digest, null)).manifests.length, 2);
  assert.deepEqual((await repository.referrers(subject.digest, 'a/sig')).manifests, [entry('a/sig')]);
  assert.equal(server.lines().at(-1), `GET /v2/team/app/referrers/${subject.digest}?artifactType=a%2Fsig`);
});

test('putManifest: without OCI-Subject in the answer, the tag of referrers is kept; with it, not', async () => {
  const stored = new Map<string, Buffer>();
  let said: Record<string, string> = {};
  await using server = await smallServer(({ method, path, body }, response) => {
    const name = path.split('/').at(-1) ?? '';
    if (method === 'PUT') {
      stored.set(name, body);
      return void response.writeHead(201, { 'docker-content-digest': digestOf(body), ...said }).end();
    }
    const found = path.includes('/manifests/') ? stored.get(name) : undefined;
    if (found) return sendManifest(response, found, { 'content-type': mediaTypes.ociIndex });
    sendJson(response, 404, { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] });
  });
  const repository = repositoryAt(server);
  const push = async (by: string) => {
    const bytes = encode({ ...signature, annotations: { by } });
    return await repository.putManifest(digestOf(bytes), mediaTypes.ociManifest, bytes);
  };
  const pushed = [(await push('me')).digest, (await push('you')).digest, (await push('me')).digest];
  const found = (await repository.referrers(subject.digest, 'application/sig')).manifests;
  assert.deepEqual(
    found.map(({ digest, annotations }) => [digest, { ...annotations }]),
    [
      [pushed[0], { by: 'me' }],
      [pushed[1], { by: 'you' }],
    ],
  );
  said = { 'oci-subject': subject.digest };
  await push('them');
  assert.equal((await repository.referrers(subject.digest, null)).manifests.length, 2);
});

test('putManifest: what the registry stored must be what was sent; what is no manifest is not sent', async () => {
  await using server = await smallServer(
    (_, response) => void response.writeHead(201, { 'docker-content-digest': digestOf('else') }).end(),
  );
  const repository = repositoryAt(server);
  assert.match((await failure(repository.putManifest('v1', mediaTypes.ociManifest, encode(manifest)))).message, /announced as/);
  await assert.rejects(repository.putManifest('v1', mediaTypes.ociIndex, encode(manifest)), /was announced as/);
  assert.equal(server.asked.length, 1);
});

test('search: the old index where there is one, else the catalog', async () => {
  const options = { credentials: null, limit: 2, official: null, automated: null, minStars: 0 };
  const results = [
    { name: 'one', description: 'd', star_count: 3, is_official: true, is_automated: false },
    { name: 'two', description: '', star_count: 1, is_official: false, is_automated: false },
    { name: 'three', description: '', star_count: 0, is_official: false, is_automated: false },
  ];
  const client = createRegistryClient(testSettings());
  await using index = await smallServer((_, response) => sendJson(response, 200, { results }));
  assert.deepEqual(
    (await client.search(`${index.host}/on`, options)).map(({ name }) => name),
    ['one', 'two'],
  );
  assert.equal(index.lines()[0], 'GET /v1/search?q=on&n=2');
  assert.deepEqual(await client.search(`${index.host}/on`, { ...options, official: true, minStars: 2 }), [
    { name: 'one', description: 'd', starCount: 3, isOfficial: true },
  ]);
  await using catalog = await smallServer(({ path }, response) =>
    path.startsWith('/v2/_catalog')
      ? sendJson(response, 200, { repositories: ['a/tool', 'b', 'tool/c', 'toolbox'] })
      : sendJson(response, 404, {}),
  );
  assert.deepEqual(
    (await client.search(`${catalog.host}/tool`, options)).map(({ name }) => name),
    ['a/tool', 'tool/c'],
  );
  await assert.rejects(client.search('https://x/y', options), /should not have a scheme/);
});
