import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLogger } from '../../base/log.ts';
import { createApiServer } from '../api-server.ts';
import { fakeServices } from '../fixtures/fake-services.ts';
import { head, readUntil, request, serveOnUnix } from '../fixtures/raw-http.ts';
import { apiRoutes } from '../routes.ts';

function serve(fake = fakeServices()) {
  return serveOnUnix(createApiServer({ routes: apiRoutes(fake), engineVersion: '0.1.0', logger: silentLogger }).createListener());
}

const json = { 'content-type': 'application/json' };

describe('POST /leases', () => {
  it('holds the lease as long as the connection lives', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const socket = connect(server.path);
    socket.write(head('POST', '/leases?name=mine', { 'Content-Length': '0' }));
    await readUntil(socket, (bytes) => bytes.includes('{"Name":"mine","Socket":null}'));
    assert.deepEqual(fake.calls, ['hold mine']);
    socket.destroy();
    for (let attempt = 0; attempt < 500 && fake.calls.length < 2; attempt++) await delay(10);
    assert.deepEqual(fake.calls, ['hold mine', 'release mine']);
  });

  it('refuses odd names and graces', async () => {
    await using server = await serve();
    for (const query of ['name=a%20b', 'name=-', 'grace=soon', 'grace=-1s'])
      assert.equal((await request(server.path, 'POST', `/leases?${query}`)).status, 400, query);
  });
});

describe('lease headers', () => {
  it('label what a request creates; its own labels win', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    const headers = { ...json, 'x-gantry-lease': 'mine', 'x-gantry-ttl': '10m' };
    const body = JSON.stringify({ Image: 'busybox', Labels: { 'gantry.ttl': '5m' } });
    assert.equal((await request(server.path, 'POST', '/containers/create', { headers, body })).status, 201);
    assert.deepEqual(fake.created[0]?.config.Labels, { 'gantry.lease': 'mine', 'gantry.ttl': '5m' });
  });

  it('are refused when they mean nothing, and nothing is created', async () => {
    const fake = fakeServices();
    await using server = await serve(fake);
    for (const bad of [{ 'x-gantry-ttl': 'soon' }, { 'x-gantry-lease': 'a b' }]) {
      for (const [path, body] of [
        ['/containers/create', { Image: 'busybox' }],
        ['/networks/create', { Name: 'n' }],
        ['/volumes/create', {}],
      ] as const)
        assert.equal(
          (await request(server.path, 'POST', path, { headers: { ...json, ...bad }, body: JSON.stringify(body) })).status,
          400,
          path,
        );
    }
    assert.equal(fake.created.length, 0);
  });
});
