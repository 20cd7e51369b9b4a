/** Who gets to see which `Authorization`: every server here writes down what it was sent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../oci/digest.ts';
import { mediaTypes } from '../oci/manifest.ts';
import { createRegistryClient } from './http-registry-client.ts';
import type { RegistryCredentials, RegistrySettings } from './registry-client.ts';
import { RegistryError } from './registry-error.ts';
import { type Answering, sendJson, smallServer, testSettings } from './testing/small-server.ts';

const me: RegistryCredentials = { kind: 'basic', username: 'me', password: 's3cret-password' };
const basic = `Basic ${Buffer.from('me:s3cret-password').toString('base64')}`;
const blob = Buffer.from('a blob');
const digest = digestOf(blob);
const blobPath = `/v2/team/app/blobs/${digest}`;
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest, size: blob.length },
    layers: [],
  }),
);

function repositoryAt(host: string, credentials: RegistryCredentials | null, settings: Partial<RegistrySettings> = {}) {
  return createRegistryClient(testSettings(settings)).repository({ domain: host, path: 'team/app' }, credentials);
}

async function read(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function refused(asking: Promise<unknown>): Promise<RegistryError> {
  const thrown = await asking.then(
    () => assert.fail('it was answered'),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof RegistryError, String(thrown));
  assert.ok(!JSON.stringify([thrown.message, thrown.details]).includes('s3cret'), thrown.message);
  return thrown;
}

const basicOnly =
  (then: Answering): Answering =>
  async (asked, response, server) => {
    if (asked.authorization === basic) return await then(asked, response, server);
    sendJson(
      response,
      401,
      { errors: [{ code: 'UNAUTHORIZED', message: `not you, ${asked.authorization}` }] },
      { 'www-authenticate': 'Basic realm="r"' },
    );
  };

/** A registry that wants a token of `realm`, and a realm that writes tokens of what it was asked. */
const bearerOnly =
  (realm: () => string, then: Answering): Answering =>
  async (asked, response, server) => {
    if (asked.authorization?.startsWith('Bearer token-')) return await then(asked, response, server);
    sendJson(
      response,
      401,
      { errors: [{ code: 'UNAUTHORIZED', message: 'who?' }] },
      {
        'www-authenticate': `Bearer realm="${realm()}",service="registry",scope="repository:team/app:pull"`,
      },
    );
  };

const sendBlob: Answering = (_, response) => void response.writeHead(200, { 'content-length': blob.length }).end(blob);
const tokens: Answering = ({ authorization, path }, response) =>
  sendJson(response, 200, { token: `token-${authorization ? 'of-me' : 'of-anybody'}`, path });

test('SEC-28 basic credentials: to their registry, not after a redirect to another origin, and only when asked for', async () => {
  await using storage = await smallServer(sendBlob, { address: '127.0.0.2' });
  await using registry = await smallServer(
    basicOnly((_, response) => void response.writeHead(307, { location: `${storage.url}/signed?key=1` }).end()),
  );
  const body = await repositoryAt(registry.host, me).blob({ digest, size: blob.length }, 0);
  assert.equal(await read(body.bytes), 'a blob');
  assert.deepEqual(registry.credentialsSeen(), [`${blobPath} ${basic}`]);
  assert.equal(registry.asked[0]?.authorization, null);
  assert.deepEqual(storage.lines(), ['GET /signed?key=1']);
  assert.deepEqual(storage.credentialsSeen(), []);
});

test('SEC-28 redirects: another port is another origin, the same origin is not; a 401 from elsewhere is no challenge', async () => {
  await using neighbour = await smallServer((_, response) => sendJson(response, 401, {}, { 'www-authenticate': 'Basic realm="give me"' }));
  let target = '/v2/elsewhere';
  await using registry = await smallServer(
    basicOnly((asked, response, server) =>
      asked.path === '/v2/elsewhere' ? sendBlob(asked, response, server) : void response.writeHead(302, { location: target }).end(),
    ),
  );
  const repository = repositoryAt(registry.host, me);
  assert.equal(await read((await repository.blob({ digest, size: blob.length }, 0)).bytes), 'a blob');
  assert.deepEqual(registry.credentialsSeen().at(-1), `/v2/elsewhere ${basic}`);
  target = `${neighbour.url}/x`;
  const error = await refused(repository.blob({ digest, size: blob.length }, 0));
  assert.equal(error.failure.status, 401);
  assert.deepEqual(neighbour.credentialsSeen(), []);
});

test('SEC-28 redirects: metadata and link-local addresses, other schemes, circles and user names in URLs', async () => {
  let target = '';
  await using registry = await smallServer((_, response) => void response.writeHead(307, { location: target }).end());
  const repository = repositoryAt(registry.host, null);
  for (const address of [
    'http://169.254.169.254/latest/',
    'http://[fe80::1]/',
    'http://[::ffff:169.254.169.254]/',
    'http://[fd00:ec2::254]/',
  ]) {
    target = address;
    const error = await refused(repository.blob({ digest, size: blob.length }, 0));
    assert.equal(error.code, 'forbidden', address);
    assert.match(error.message, /is refused/);
  }
  target = 'file:///etc/passwd';
  assert.match((await refused(repository.blob({ digest, size: blob.length }, 0))).message, /redirects to file:, which is refused/);
  target = '/v2/again';
  assert.match((await refused(repository.blob({ digest, size: blob.length }, 0))).message, /redirects more than 5 times/);
  await using storage = await smallServer(sendBlob, { address: '127.0.0.2' });
  target = `http://user:pw@${storage.host}/`;
  assert.equal(await read((await repository.blob({ digest, size: blob.length }, 0)).bytes), 'a blob');
  assert.deepEqual(storage.credentialsSeen(), []);
});

test('SEC-28 token realm on the same host: sees the password; the registry sees only the token', async () => {
  await using realm = await smallServer(tokens);
  await using registry = await smallServer(bearerOnly(() => `${realm.url}/token?x=1`, sendBlob));
  const repository = repositoryAt(registry.host, me);
  for (let round = 0; round < 2; round++)
    assert.equal(await read((await repository.blob({ digest, size: blob.length }, 0)).bytes), 'a blob');
  assert.deepEqual(realm.lines(), ['GET /token?x=1&service=registry&scope=repository%3Ateam%2Fapp%3Apull&account=me']);
  assert.deepEqual(realm.credentialsSeen(), [`/token ${basic}`]);
  assert.deepEqual(new Set(registry.credentialsSeen()), new Set([`${blobPath} Bearer token-of-me`]));
});

test('SEC-28 token realm on another host: asked anonymously, unless it is allowed; the error says how', async () => {
  await using realm = await smallServer(tokens, { address: '127.0.0.2' });
  await using registry = await smallServer(
    bearerOnly(
      () => `${realm.url}/token`,
      (asked, response, server) =>
        asked.authorization === 'Bearer token-of-me' ? sendBlob(asked, response, server) : sendJson(response, 401, {}),
    ),
  );
  const error = await refused(repositoryAt(registry.host, me).blob({ digest, size: blob.length }, 0));
  assert.equal(error.code, 'unauthorized');
  assert.ok(error.message.includes(`--registry-allowed-realm ${registry.host}=${realm.host}`), error.message);
  assert.deepEqual(realm.credentialsSeen(), []);
  const allowedRealms = { [registry.host]: [realm.host] };
  const body = await repositoryAt(registry.host, me, { allowedRealms }).blob({ digest, size: blob.length }, 0);
  assert.equal(await read(body.bytes), 'a blob');
  assert.deepEqual(realm.credentialsSeen(), [`/token ${basic}`]);
});

test('SEC-28 token realm that redirects: the password stays with the realm', async () => {
  await using thief = await smallServer(tokens, { address: '127.0.0.2' });
  await using realm = await smallServer((_, response) => void response.writeHead(302, { location: `${thief.url}/token` }).end());
  await using registry = await smallServer(bearerOnly(() => `${realm.url}/token`, sendBlob));
  await repositoryAt(registry.host, me).blob({ digest, size: blob.length }, 0);
  assert.deepEqual(realm.credentialsSeen(), [`/token ${basic}`]);
  assert.deepEqual(thief.credentialsSeen(), []);
});

test('SEC-28 token realm: link-local addresses and other schemes are refused', async () => {
  let realm = 'http://169.254.169.254/token';
  await using registry = await smallServer(bearerOnly(() => realm, sendBlob));
  for (const address of ['http://169.254.169.254/token', 'https://169.254.169.254/token', 'file:///etc/passwd', 'nothing']) {
    realm = address;
    await refused(repositoryAt(registry.host, me).blob({ digest, size: blob.length }, 0));
  }
  assert.deepEqual(registry.credentialsSeen(), []);
});

test('SEC-28 identity and registry tokens: a refresh token goes to the realm only, a registry token to the registry only', async () => {
  await using realm = await smallServer(tokens);
  await using registry = await smallServer(bearerOnly(() => `${realm.url}/token`, sendBlob));
  await repositoryAt(registry.host, { kind: 'identity-token', token: 's3cret-refresh' }).blob({ digest, size: blob.length }, 0);
  assert.equal(realm.asked[0]?.method, 'POST');
  assert.deepEqual(Object.fromEntries(new URLSearchParams(realm.asked[0]?.body.toString())), {
    grant_type: 'refresh_token',
    refresh_token: 's3cret-refresh',
    client_id: 'gantry',
    service: 'registry',
    scope: 'repository:team/app:pull',
  });
  assert.deepEqual(new Set(registry.credentialsSeen()), new Set([`${blobPath} Bearer token-of-anybody`]));
  await repositoryAt(registry.host, { kind: 'registry-token', token: 'token-s3cret' }).blob({ digest, size: blob.length }, 0);
  assert.equal(registry.credentialsSeen().at(-1), `${blobPath} Bearer token-s3cret`);
  assert.equal(realm.asked.length, 1);
});

test('SEC-28 mirrors: no credentials, not even when they ask; what they lack comes from the registry', async () => {
  await using mirror = await smallServer((_, response) => sendJson(response, 401, {}, { 'www-authenticate': 'Basic realm="mirror"' }), {
    address: '127.0.0.2',
  });
  await using realm = await smallServer(tokens, { address: '127.0.0.2' });
  await using tokenMirror = await smallServer(
    bearerOnly(
      () => `${realm.url}/token`,
      (_, response) => sendJson(response, 404, {}),
    ),
    { address: '127.0.0.2' },
  );
  await using registry = await smallServer(basicOnly(sendBlob));
  const prefixMirrors = [{ prefix: registry.host, urls: [`${mirror.url}/cache`, tokenMirror.url] }];
  const body = await repositoryAt(registry.host, me, { prefixMirrors }).blob({ digest, size: blob.length }, 0);
  assert.equal(await read(body.bytes), 'a blob');
  assert.deepEqual(mirror.lines(), [`GET /v2/cache/team/app/blobs/${digest}`]);
  assert.deepEqual([...mirror.credentialsSeen(), ...realm.credentialsSeen()], []);
  assert.deepEqual(tokenMirror.credentialsSeen(), [`${blobPath} Bearer token-of-anybody`]);
  assert.deepEqual(registry.credentialsSeen(), [`${blobPath} ${basic}`]);
});

test('SEC-28 foreign layers: urls of foreign media types only, without credentials, never to private addresses, not even by redirect', async () => {
  await using elsewhere = await smallServer(sendBlob, { address: '127.0.0.2' });
  let target = '';
  // Stands for the public internet: every name leads here.
  await using internet = await smallServer((asked, response, server) => {
    if (asked.path.endsWith('/layer')) return sendBlob(asked, response, server);
    if (asked.path.endsWith('/401')) return sendJson(response, 401, {}, { 'www-authenticate': 'Basic realm="x"' });
    response.writeHead(302, { location: target }).end();
  });
  await using registry = await smallServer(
    basicOnly((_, response) => sendJson(response, 404, { errors: [{ code: 'BLOB_UNKNOWN', message: 'no' }] })),
  );
  const repository = repositoryAt(registry.host, me, { proxies: { http: internet.url, https: null, noProxy: [] } });
  const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';
  const descriptor = (url: string, type = mediaType) => ({ digest, size: blob.length, mediaType: type, urls: [url] });
  const body = await repository.blob(descriptor('http://layers.example/layer'), 0);
  assert.equal(await read(body.bytes), 'a blob');
  for (const url of [`${elsewhere.url}/x`, 'http://localhost:1/x', 'http://10.0.0.1/x', 'http://169.254.169.254/x', 'http://[::1]/x'])
    await refused(repository.blob(descriptor(url), 0));
  for (const url of [elsewhere.url, 'http://10.0.0.1/', 'http://169.254.169.254/']) {
    target = url;
    await refused(repository.blob(descriptor('http://layers.example/redirect'), 0));
  }
  const error = await refused(repository.blob(descriptor('http://layers.example/layer', mediaTypes.ociLayerGzip), 0));
  assert.equal(error.failure.registryCode, 'BLOB_UNKNOWN');
  await refused(repository.blob(descriptor('http://layers.example/401'), 0));
  assert.deepEqual(internet.credentialsSeen(), []);
  assert.deepEqual(elsewhere.lines(), []);
});

test('SEC-28 uploads: a Location on another host gets the bytes, not the credentials', async () => {
  await using storage = await smallServer((_, response) => void response.writeHead(201).end(), { address: '127.0.0.2' });
  await using registry = await smallServer(
    basicOnly(({ method }, response) =>
      method === 'HEAD' ? void response.writeHead(404).end() : void response.writeHead(202, { location: `${storage.url}/up?id=1` }).end(),
    ),
  );
  const upload = {
    digest,
    sizeBytes: blob.length,
    open: async function* () {
      yield blob;
    },
  };
  assert.deepEqual(await repositoryAt(registry.host, me).uploadBlob(upload), { kind: 'uploaded' });
  assert.equal(storage.asked[0]?.body.toString(), 'a blob');
  assert.deepEqual(storage.credentialsSeen(), []);
});

test('401 without end: one renewal, then unauthorized in the words of the registry, which are not trusted with what they repeat', async () => {
  await using realm = await smallServer(tokens);
  await using registry = await smallServer(({ authorization }, response) =>
    sendJson(
      response,
      401,
      { errors: [{ code: 'UNAUTHORIZED', message: `no: ${authorization}` }] },
      { 'www-authenticate': `Bearer realm="${realm.url}/t",service="s"` },
    ),
  );
  const error = await refused(repositoryAt(registry.host, me).manifest('t'));
  assert.equal(error.code, 'unauthorized');
  assert.match(error.message, /^unauthorized: no: /);
  assert.equal(registry.asked.length, 2);
  await using plain = await smallServer(({ authorization }, response) =>
    sendJson(
      response,
      401,
      { errors: [{ code: 'UNAUTHORIZED', message: `no: ${authorization} s3cret-password` }] },
      { 'www-authenticate': 'Basic realm="x"' },
    ),
  );
  assert.match((await refused(repositoryAt(plain.host, me).manifest('t'))).message, /^unauthorized: no: Basic \*\*\* \*\*\*$/);
  assert.equal(plain.asked.length, 2);
  const anonymous = await refused(repositoryAt(plain.host, null).manifest('t'));
  assert.equal(anonymous.message, `Get "${plain.url}/v2/team/app/manifests/t": no basic auth credentials`);
});

test('tokens: asked for once by many, again when they expire or are refused, by scope', async () => {
  let issued = 0;
  let oldest = 0;
  await using realm = await smallServer((_, response) => sendJson(response, 200, { access_token: `token-${++issued}`, expires_in: 300 }));
  await using registry = await smallServer(
    bearerOnly(
      () => `${realm.url}/token`,
      (asked, response, server) => {
        const number = Number(asked.authorization?.split('-').at(-1));
        if (number > oldest && asked.method !== 'PUT') return sendBlob(asked, response, server);
        if (number > oldest) return void response.writeHead(201).end();
        sendJson(
          response,
          401,
          {},
          { 'www-authenticate': `Bearer realm="${realm.url}/token",service="registry",scope="repository:team/app:pull"` },
        );
      },
    ),
  );
  const client = createRegistryClient(testSettings());
  const repository = client.repository({ domain: registry.host, path: 'team/app' }, me);
  const fetchOne = async () => read((await repository.blob({ digest, size: blob.length }, 0)).bytes);
  await fetchOne();
  await Promise.all(Array.from({ length: 8 }, fetchOne));
  assert.equal(issued, 1);
  oldest = 1;
  await fetchOne();
  assert.equal(issued, 2);
  await repository.putManifest('t', mediaTypes.ociManifest, manifest);
  assert.equal(issued, 3);
  assert.ok(realm.lines().at(-1)?.includes('pull%2Cpush'));
  client.close();
});

test('login: basic, bearer with a refresh token, and Docker’s words for refusals', async () => {
  const client = createRegistryClient(testSettings());
  await using plain = await smallServer(basicOnly((_, response) => void response.writeHead(200).end('{}')));
  assert.deepEqual(await client.login(plain.host, me), { identityToken: '' });
  const wrong = await refused(client.login(plain.host, { kind: 'basic', username: 'me', password: 's3cret-wrong' }));
  assert.equal(wrong.code, 'unauthorized');
  assert.equal(wrong.message, `login attempt to ${plain.url}/v2/ failed with status: 401 Unauthorized`);
  await using realm = await smallServer(({ path, authorization }, response) =>
    authorization === basic
      ? sendJson(response, 200, { token: 'token-1', refresh_token: path.includes('offline_token=true') ? 'lasting' : undefined })
      : sendJson(response, 401, { details: 'incorrect username or password' }),
  );
  await using registry = await smallServer(
    bearerOnly(
      () => `${realm.url}/token`,
      (_, response) => void response.writeHead(200).end('{}'),
    ),
  );
  assert.deepEqual(await client.login(registry.host, me), { identityToken: 'lasting' });
  const refusal = await refused(client.login(registry.host, { kind: 'basic', username: 'me', password: 's3cret-wrong' }));
  assert.equal(refusal.message, 'unauthorized: incorrect username or password');
  client.close();
});
