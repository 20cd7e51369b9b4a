/** The seams of the HTTP side: access, admission, observation, and what it does with clients that misbehave. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AccessControl, AccessScope } from '../access.ts';
import { beginUpload, blobOf, errorCodes, pushBlob, pushImage, rawRequest } from '../testing/registry-material.ts';
import { startTestRegistry } from '../testing/test-registry.ts';
import type { ObservedRequest } from './registry-handler.ts';

const textOf = (scope: AccessScope) => (scope.kind === 'repository' ? `${scope.name}:${scope.actions.join(',')}` : scope.kind);

test('each endpoint asks for what it needs, before anything else is said', async () => {
  const asked: string[] = [];
  const access: AccessControl = {
    async decide(_, scope) {
      asked.push(textOf(scope));
      return { kind: 'challenge', challenge: 'Basic realm="x"', message: 'who are you?' };
    },
  };
  await using server = await startTestRegistry({ handler: { access } });
  const digest = `sha256:${'a'.repeat(64)}`;
  const id = '00000000-0000-0000-0000-000000000000';
  const cases = [
    ['GET', '', 'base'],
    ['GET', '_catalog', 'catalogue'],
    ['GET', 'a/b/tags/list', 'a/b:pull'],
    ['HEAD', 'a/b/manifests/x', 'a/b:pull'],
    ['PUT', 'a/b/manifests/x', 'a/b:pull,push'],
    ['DELETE', 'a/b/manifests/x', 'a/b:delete'],
    ['GET', `a/b/blobs/${digest}`, 'a/b:pull'],
    ['DELETE', `a/b/blobs/${digest}`, 'a/b:delete'],
    ['POST', `a/b/blobs/uploads/?mount=${digest}&from=c`, 'a/b:pull,push'],
    ['PATCH', `a/b/blobs/uploads/${id}`, 'a/b:pull,push'],
    ['GET', `a/b/referrers/${digest}`, 'a/b:pull'],
    ['GET', 'no/such/endpoint', 'base'],
    ['GET', 'A/tags/list', 'base'],
  ] as const;
  for (const [method, path, scope] of cases) {
    const answer = await fetch(`${server.origin}/v2/${path}`, { method });
    assert.deepEqual(
      [answer.status, answer.headers.get('www-authenticate'), asked.pop()],
      [401, 'Basic realm="x"', scope],
      `${method} ${path}`,
    );
    if (method !== 'HEAD') assert.deepEqual(await errorCodes(answer), ['UNAUTHORIZED']);
  }
});

test('SEC-26: a blob that only another repository has is 404 to GET and HEAD, and neither creates anything', async () => {
  await using server = await startTestRegistry();
  const blob = blobOf('secret');
  await pushBlob(server.origin, 'theirs', blob);
  for (const method of ['GET', 'HEAD']) {
    assert.equal((await fetch(`${server.origin}/v2/mine/blobs/${blob.digest}`, { method })).status, 404);
    assert.equal((await fetch(`${server.origin}/v2/mine/manifests/v1`, { method })).status, 404);
  }
  assert.deepEqual(server.registry.repositories({ after: null, limit: 9 }).entries, ['theirs']);
  assert.equal(server.registry.stats().openUploads, 0);
});

test('SEC-26: a mount from where one may not pull is as a mount from nowhere: 202, and access is asked whatever is there', async () => {
  const asked: string[] = [];
  const access: AccessControl = {
    async decide(_, scope) {
      asked.push(textOf(scope));
      return scope.kind === 'repository' && scope.name === 'theirs' && !scope.actions.includes('push')
        ? { kind: 'denied', message: 'no' }
        : { kind: 'granted', user: 'me' };
    },
  };
  await using server = await startTestRegistry({ handler: { access } });
  const blob = blobOf('secret');
  await pushBlob(server.origin, 'theirs', blob);
  await pushBlob(server.origin, 'public', blob);
  const mount = async (digest: string, from: string) => {
    asked.length = 0;
    const answer = await fetch(`${server.origin}/v2/mine/blobs/uploads/?mount=${digest}&from=${from}`, { method: 'POST' });
    return [answer.status, [...answer.headers.keys()].join(), asked.join(' ')];
  };
  const there = await mount(blob.digest, 'theirs');
  assert.deepEqual(there, await mount(blobOf('other').digest, 'theirs'));
  assert.equal(there[0], 202);
  assert.equal(there[2], 'mine:pull,push theirs:pull');
  assert.equal((await fetch(`${server.origin}/v2/mine/blobs/${blob.digest}`)).status, 404);
  assert.equal((await mount(blob.digest, 'public'))[0], 201);
});

test('denied is 403, admission 429 with Retry-After; both are observed', async () => {
  const observed: ObservedRequest[] = [];
  let full = false;
  await using server = await startTestRegistry({
    handler: {
      access: {
        decide: async (_, scope) => (scope.kind === 'base' ? { kind: 'granted', user: 'joe' } : { kind: 'denied', message: 'not yours' }),
      },
      admit: () => (full ? { message: 'slow down', retryAfterSeconds: 1.2 } : null),
      onRequest: (request) => observed.push(request),
    },
  });
  const denied = await fetch(`${server.origin}/v2/x/tags/list`);
  assert.deepEqual([denied.status, await errorCodes(denied)], [403, ['DENIED']]);
  await (await fetch(`${server.origin}/v2/`)).text();
  full = true;
  const limited = await fetch(`${server.origin}/v2/`);
  assert.deepEqual([limited.status, limited.headers.get('retry-after'), await errorCodes(limited)], [429, '2', ['TOOMANYREQUESTS']]);
  assert.deepEqual(
    observed.map(({ route, repository, status, user }) => [route, repository, status, user]),
    [
      ['tags', 'x', 403, null],
      ['base', null, 200, 'joe'],
      ['base', null, 429, null],
    ],
  );
});

test('what is sent by the kernel is counted', async () => {
  const observed: ObservedRequest[] = [];
  await using server = await startTestRegistry({ handler: { onRequest: (request) => observed.push(request) } });
  const blob = blobOf(randomBytes(5_000_000));
  await pushBlob(server.origin, 'counted', blob);
  const answer = await rawRequest(server.origin, 'GET', `/v2/counted/blobs/${blob.digest}`, { connection: 'close' });
  assert.equal(answer.status, 200);
  // The client has the last byte before the server looks back on it.
  while (observed.length < 2) await delay(5);
  const { requestBytes } = observed[0] ?? {};
  assert.equal(requestBytes, blob.bytes.length);
  const { responseBytes } = observed[1] ?? {};
  assert.ok((responseBytes ?? 0) > blob.bytes.length && (responseBytes ?? 0) < blob.bytes.length + 2000, String(responseBytes));
});

test('clients that leave in the middle, up or down, leave nothing behind but what can be gone on with', async () => {
  const errors: unknown[] = [];
  await using server = await startTestRegistry({ handler: { onError: (error) => errors.push(error) } });
  const blob = blobOf(randomBytes(20_000_000));
  await pushBlob(server.origin, 'left', blob);
  const { hostname, port } = new URL(server.origin);
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      const socket = connect(Number(port), hostname);
      socket.write(`GET /v2/left/blobs/${blob.digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await new Promise((resolve) => socket.once('data', resolve));
      socket.destroy();
    }),
  );
  const place = await beginUpload(server.origin, 'left');
  const socket = connect(Number(port), hostname);
  socket.write(`PATCH ${new URL(place).pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n`);
  socket.write(Buffer.alloc(2_500_000));
  const came = () => server.registry.repository('left').upload(place.split('/').at(-1) ?? '')?.sizeBytes ?? 0;
  while (came() < 2_000_000) await delay(5);
  // Silent now, its connection open: the client comes again on another one, and goes on from what it is told.
  const nextOf = (answer: Response) => Number(answer.headers.get('range')?.split('-')[1]) + 1;
  let next = nextOf(await fetch(place));
  for (;;) {
    const answer = await fetch(place, { method: 'PATCH', headers: { 'content-range': `${next}-${next + 2}` }, body: 'abc' });
    if (answer.status === 202) break;
    // What was on its way from the first connection has come meanwhile, and is kept.
    assert.equal(answer.status, 416);
    assert.ok(nextOf(answer) > next);
    next = nextOf(answer);
  }
  assert.equal(came(), next + 3);
  socket.destroy();
  assert.deepEqual(errors, []);
});

test('an image can be pulled while the same connection asks for more (pipelining)', async () => {
  await using server = await startTestRegistry();
  const blob = blobOf(randomBytes(3_000_000));
  await pushBlob(server.origin, 'pipe', blob);
  await pushImage(server.origin, 'pipe', 'v1');
  const { hostname, port } = new URL(server.origin);
  const socket = connect(Number(port), hostname);
  const request = (path: string, last = false) => `GET /v2/pipe/${path} HTTP/1.1\r\nHost: x\r\n${last ? 'Connection: close\r\n' : ''}\r\n`;
  socket.write(request(`blobs/${blob.digest}`) + request(`blobs/${blob.digest}`) + request('manifests/v1', true));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const all = Buffer.concat(chunks);
  const first = all.indexOf('\r\n\r\n') + 4;
  assert.ok(all.subarray(first, first + blob.bytes.length).equals(blob.bytes));
  const second = all.indexOf('\r\n\r\n', first + blob.bytes.length) + 4;
  assert.ok(all.subarray(second, second + blob.bytes.length).equals(blob.bytes));
  assert.match(all.subarray(second + blob.bytes.length).toString(), /^HTTP\/1.1 200 OK[\s\S]*"layers"/);
});
