/** Registries that answer so that the client would hold, show or reach too much. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { digestOf } from '../oci/digest.ts';
import { mediaTypes } from '../oci/manifest.ts';
import type { EndpointSession } from './endpoint-session.ts';
import { createRegistryClient } from './http-registry-client.ts';
import type { HttpAnswer } from './http-transport.ts';
import { listNames } from './name-lists.ts';
import type { Hop } from './redirect.ts';
import { smallServer, testSettings } from './testing/small-server.ts';
import { readToken } from './token-server.ts';

test('SEC-28 a list that was redirected to a public server leads on to public addresses only', async () => {
  const paths: (string | Hop)[] = [];
  const answer = (link: string | undefined): HttpAnswer => ({
    status: 200,
    method: 'GET',
    url: new URL('https://elsewhere.example/page'),
    headers: { ...(link === undefined ? {} : { link }) },
    body: Readable.from([Buffer.from('{"tags":["a"]}')]) as IncomingMessage,
    address: '203.0.113.5',
  });
  const session = {
    settings: testSettings(),
    expect: ({ path }: { path: string | Hop }) => Promise.resolve(answer(paths.push(path) === 1 ? '</next>; rel="next"' : undefined)),
  } as unknown as EndpointSession;
  const names: string[] = [];
  for await (const name of listNames(session, { path: '/v2/a/tags/list', key: 'tags', scopes: [] })) names.push(name);
  assert.deepEqual(names, ['a', 'a']);
  assert.deepEqual(paths[1], { url: new URL('https://elsewhere.example/next'), addresses: 'public' });
});

test('SEC-29 referrers without an end are given up', async () => {
  const subject = digestOf(Buffer.from('subject'));
  const descriptor = { mediaType: mediaTypes.ociManifest, digest: subject, size: 1 };
  const page = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: Array.from({ length: 1000 }, () => descriptor),
  });
  await using registry = await smallServer((asked, response, { asked: all }) => {
    const link = `<${asked.path.split('?')[0]}?last=${all.length}>; rel="next"`;
    response.writeHead(200, { 'content-type': mediaTypes.ociIndex, link }).end(page);
  });
  const repository = createRegistryClient(testSettings()).repository({ domain: registry.host, path: 'team/app' }, null);
  await assert.rejects(repository.referrers(subject, null), /has more than 10000 referrers/);
  assert.equal(registry.asked.length, 11);
});

test('login: the words of a status never hold the password that was sent', async () => {
  await using registry = await smallServer((asked, response) => {
    if (asked.authorization === null) response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
    else response.writeHead(403, `No ${asked.authorization}`).end();
  });
  const client = createRegistryClient(testSettings());
  const credentials = { kind: 'basic', username: 'me', password: 's3cret-password' } as const;
  await assert.rejects(client.login(registry.host, credentials), (error: Error) => {
    assert.match(error.message, /failed with status: 403 No Basic \*\*\*$/);
    return true;
  });
});

test('a token that is too long to be sent along is none', () => {
  const answer = (length: number) => Buffer.from(JSON.stringify({ token: 'x'.repeat(length) }));
  assert.equal(readToken(answer(64 * 1024), 'h').token.length, 64 * 1024);
  assert.throws(() => readToken(answer(64 * 1024 + 1), 'h'), /token server h: its token is longer than 65536 bytes/);
});
