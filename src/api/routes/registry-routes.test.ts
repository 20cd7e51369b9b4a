import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { createApiServer } from '../api-server.ts';
import { fakeServices, imageId } from '../fixtures/fake-services.ts';
import { request, serveOnUnix } from '../fixtures/raw-http.ts';
import { apiRoutes } from '../routes.ts';

async function ask(method: string, url: string, options: Parameters<typeof request>[3] = {}) {
  const fake = fakeServices();
  await using server = await serveOnUnix(
    createApiServer({ routes: apiRoutes(fake), engineVersion: '0.1.0', logger: silentLogger }).createListener(),
  );
  return { ...(await request(server.path, method, url, options)), calls: fake.calls };
}

const auth = (value: unknown) => ({ headers: { 'X-Registry-Auth': Buffer.from(JSON.stringify(value)).toString('base64url') } });

describe('POST /images/create', () => {
  it('pulls by tag and digest, with a platform and credentials', async () => {
    const tagged = await ask('POST', '/images/create?fromImage=hello-world&tag=latest', auth({ username: 'ann', password: 'secret' }));
    assert.deepEqual(tagged.calls, ['pull hello-world:latest null by ann']);
    assert.equal(tagged.body, '{"status":"Status: Loaded"}\r\n');
    const byDigest = await ask('POST', `/images/create?fromImage=hello-world&tag=${imageId}&platform=linux/arm64`, auth({}));
    assert.deepEqual(byDigest.calls, [`pull hello-world@${imageId} linux/arm64 by anybody`]);
    const all = await ask('POST', '/images/create?fromImage=hello-world', auth({ identitytoken: 'x' }));
    assert.deepEqual(all.calls, ['pull hello-world null by identity-token']);
  });

  it('what fails before the first word is an HTTP error', async () => {
    const { status, body } = await ask('POST', '/images/create?fromImage=nothing&tag=1');
    assert.equal(status, 404);
    assert.equal(body, '{"message":"manifest for nothing:1 not found: manifest unknown: manifest unknown"}\n');
  });
});

describe('X-Registry-Auth', () => {
  it('is refused when it is malformed, without being told', async () => {
    for (const value of ['%%%', Buffer.from('"secret"').toString('base64'), Buffer.from('{"username":1}').toString('base64'), 'c2VjcmV0']) {
      const { status, body, calls } = await ask('POST', '/images/a/push', { headers: { 'X-Registry-Auth': value } });
      assert.equal(status, 400);
      assert.match(body, /invalid X-Registry-Auth header/);
      assert.doesNotMatch(body, /secret/);
      assert.deepEqual(calls, []);
    }
  });

  it('may be padded, and in either alphabet', async () => {
    const config = JSON.stringify({ username: 'ann?>', password: '~~~???>>>' });
    for (const text of [Buffer.from(config).toString('base64'), Buffer.from(config).toString('base64url')]) {
      const { calls } = await ask('POST', '/images/a/push', { headers: { 'X-Registry-Auth': text } });
      assert.deepEqual(calls, ['push a null by ann?>']);
    }
  });
});

it('POST /images/NAME/push tells layers and what was pushed', async () => {
  const { body, calls } = await ask(
    'POST',
    '/images/localhost:5000/a/b/push?tag=v1&platform=%7B%22os%22:%22linux%22,%22architecture%22:%22arm64%22%7D',
  );
  assert.deepEqual(calls, ['push localhost:5000/a/b:v1 arm64 by anybody']);
  assert.deepEqual(
    body
      .trim()
      .split('\r\n')
      .map((line) => JSON.parse(line))
      .slice(1),
    [
      { status: 'Pushed', progressDetail: {}, id: '0123456789ab' },
      { progressDetail: {}, aux: { Tag: 'latest', Digest: imageId, Size: 12 } },
    ],
  );
});

it('POST /auth logs in', async () => {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ username: 'ann', password: 'x', serveraddress: 'localhost:5000' });
  const answer = await ask('POST', '/auth', { headers, body });
  assert.deepEqual([answer.status, answer.calls], [200, ['login localhost:5000 by ann']]);
  assert.equal(answer.body, '{"IdentityToken":"","Status":"Login Succeeded"}\n');
  assert.equal((await ask('POST', '/auth', { headers, body: '{}' })).status, 400);
});

it('GET /images/search takes limits and filters', async () => {
  const filters = encodeURIComponent('{"stars":["2","5"],"is-official":["true"]}');
  const { body, calls } = await ask('GET', `/images/search?term=busy&limit=3&filters=${filters}`);
  assert.deepEqual(calls, ['search busy 3 5 true']);
  assert.deepEqual(JSON.parse(body), [{ star_count: 3, is_official: true, name: 'busybox', is_automated: false, description: 'small' }]);
  assert.match((await ask('GET', '/images/search?term=x&limit=101')).body, /outside the range of \[1, 100\]/);
  assert.equal((await ask('GET', `/images/search?term=x&filters=${encodeURIComponent('{"stars":["many"]}')}`)).status, 400);
});

it('GET /distribution/NAME/json tells descriptor and platforms', async () => {
  assert.deepEqual(JSON.parse((await ask('GET', '/distribution/a/b:1/json')).body), {
    Descriptor: { mediaType: 'application/vnd.oci.image.index.v1+json', digest: imageId, size: 12 },
    Platforms: [{ architecture: 'arm', os: 'linux', variant: 'v6' }],
  });
});
