import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { createApiServer } from '../api-server.ts';
import { fakeServices } from '../fixtures/fake-services.ts';
import { request, serveOnUnix } from '../fixtures/raw-http.ts';
import { apiRoutes } from '../routes.ts';

async function ask(method: string, url: string, json?: unknown, fake = fakeServices()) {
  const options = json === undefined ? {} : { body: JSON.stringify(json), headers: { 'Content-Type': 'application/json' } };
  const { status, body } = await askRaw(method, url, options, fake);
  return { status, json: body === '' ? null : JSON.parse(body) };
}

async function askRaw(method: string, url: string, options: Parameters<typeof request>[3], fake: ReturnType<typeof fakeServices>) {
  const api = createApiServer({ routes: apiRoutes(fake), engineVersion: '0.1.0', logger: silentLogger });
  await using server = await serveOnUnix(api.createListener());
  return await request(server.path, method, url, options);
}

async function withVolume() {
  const fake = fakeServices();
  await ask('POST', '/volumes/create', { Name: 'v', Labels: { a: 'b' } }, fake);
  return fake;
}

describe('volumes', () => {
  it('are created, shown and removed', async () => {
    const fake = fakeServices();
    const { status, json } = await ask('POST', '/volumes/create', { Name: 'v', Driver: '', DriverOpts: null, Labels: { a: 'b' } }, fake);
    assert.equal(status, 201);
    assert.deepEqual(json, {
      CreatedAt: '2023-11-14T22:13:20Z',
      Driver: 'local',
      Labels: { a: 'b' },
      Mountpoint: '/var/lib/gantry/volumes/v/_data',
      Name: 'v',
      Options: null,
      Scope: 'local',
    });
    assert.deepEqual(fake.volumes.created, [{ name: 'v', driver: '', driverOptions: {}, labels: { a: 'b' } }]);
    assert.equal((await ask('GET', '/volumes/v', undefined, fake)).json.Name, 'v');
    assert.equal((await ask('DELETE', '/volumes/v', undefined, fake)).status, 204);
    assert.equal((await ask('DELETE', '/volumes/v', undefined, fake)).status, 404);
    assert.equal((await ask('DELETE', '/volumes/v?force=1', undefined, fake)).status, 204);
  });

  it('without a name are anonymous', async () => {
    const fake = fakeServices();
    await ask('POST', '/volumes/create', {}, fake);
    assert.equal(fake.volumes.created[0]?.name, null);
  });

  it('of a cluster are refused by name', async () => {
    const { status, json } = await ask('POST', '/volumes/create', { Name: 'v', ClusterVolumeSpec: {} });
    assert.equal(status, 501);
    assert.match(json.message, /ClusterVolumeSpec/);
    assert.equal((await ask('PUT', '/volumes/v?version=1', { Spec: {} }, await withVolume())).status, 503);
    assert.equal((await ask('PUT', '/volumes/v?version=1', { Spec: {} })).status, 404);
  });

  it('are listed, with sizes when asked', async () => {
    const fake = await withVolume();
    const plain = (await ask('GET', '/volumes', undefined, fake)).json;
    assert.deepEqual([plain.Volumes.length, plain.Warnings, 'UsageData' in plain.Volumes[0]], [1, null, false]);
    const sized = (await ask('GET', '/volumes?size=1', undefined, fake)).json;
    assert.deepEqual(sized.Volumes[0].UsageData, { RefCount: 1, Size: 5 });
    const df = (await ask('GET', '/system/df?type=volume', undefined, fake)).json;
    assert.deepEqual([df.Volumes[0].UsageData, df.Images], [{ RefCount: 1, Size: 5 }, null]);
  });

  it('are pruned as the version means it', async () => {
    const fake = await withVolume();
    assert.deepEqual((await ask('POST', '/v1.41/volumes/prune', undefined, fake)).json, { VolumesDeleted: ['v'], SpaceReclaimed: 5 });
    await ask('POST', '/volumes/prune', undefined, fake);
    assert.deepEqual(
      fake.volumes.asked.map(({ all }) => all),
      [['true'], undefined],
    );
  });
});

describe('beyond Docker', () => {
  it('rename and clone need a name', async () => {
    const fake = await withVolume();
    assert.deepEqual((await ask('POST', '/volumes/v/rename', { Name: 'w' }, fake)).json.Name, 'w');
    const clone = await ask('POST', '/volumes/v/clone', { Name: 'w', Labels: { c: 'd' } }, fake);
    assert.deepEqual([clone.status, clone.json.Labels], [201, { c: 'd' }]);
    assert.match((await ask('POST', '/volumes/v/rename', {}, fake)).json.message, /Name must be the new name/);
  });

  it('export and import stream', async () => {
    const fake = await withVolume();
    const exported = await askRaw('GET', '/volumes/v/export', {}, fake);
    assert.deepEqual([exported.headers['content-type'], exported.body], ['application/x-tar', 'tar of v']);
    const body = Buffer.from('some tar');
    assert.equal((await askRaw('PUT', '/volumes/v/import?merge=1', { body, headers: { 'Content-Type': 'text/plain' } }, fake)).status, 200);
    assert.equal((await askRaw('PUT', '/volumes/v/import', { body }, fake)).status, 200);
    assert.deepEqual(fake.volumes.imported, [
      { name: 'v', text: 'some tar', merge: true },
      { name: 'v', text: 'some tar', merge: false },
    ]);
    assert.equal((await askRaw('PUT', '/volumes/nope/import', { body }, fake)).status, 404);
    assert.equal((await askRaw('GET', '/volumes/nope/export', {}, fake)).status, 404);
  });
});

it('SEC-17: no name of a volume is a path', async () => {
  for (const name of ['..%2f..%2fetc', '%2e%2e', '..']) assert.ok([400, 404].includes((await ask('GET', `/volumes/${name}`)).status), name);
});
