import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../base/log.ts';
import { createApiServer } from '../api-server.ts';
import { fakeServices } from '../fixtures/fake-services.ts';
import { request, serveOnUnix } from '../fixtures/raw-http.ts';
import { apiRoutes } from '../routes.ts';

async function ask(method: string, url: string, options: Parameters<typeof request>[3] = {}, fake = fakeServices()) {
  const api = createApiServer({ routes: apiRoutes(fake), engineVersion: '0.1.0', logger: silentLogger });
  await using server = await serveOnUnix(api.createListener());
  return await request(server.path, method, url, options);
}

const header = Buffer.from('{"name":"etc","size":2,"mode":420,"mtime":"1970-01-01T00:00:01.5Z","linkTarget":""}').toString('base64');

describe("containers' files", () => {
  it('are looked at, read and exported', async () => {
    const head = await ask('HEAD', '/v1.51/containers/web/archive?path=%2Fetc');
    assert.deepEqual([head.status, head.headers['x-docker-container-path-stat'], head.body], [200, header, '']);
    const tar = await ask('GET', '/containers/web/archive?path=/etc');
    assert.deepEqual([tar.status, tar.headers['content-type'], tar.body], [200, 'application/x-tar', 'tar']);
    assert.equal(tar.headers['x-docker-container-path-stat'], header);
    const missing = await ask('GET', '/containers/web/archive?path=/none');
    assert.deepEqual([missing.status, missing.body], [404, '{"message":"Could not find the file /none in container web"}\n']);
    assert.equal((await ask('HEAD', '/containers/web/archive?path=/none')).status, 404);
    const whole = await ask('GET', '/containers/web/export');
    assert.deepEqual([whole.headers['content-type'], whole.body], ['application/octet-stream', 'web']);
  });

  it('are written, with a body of any type', async () => {
    const fake = fakeServices();
    const query = 'path=/etc&noOverwriteDirNonDir=true&copyUIDGID=1';
    const { status } = await ask(
      'PUT',
      `/containers/web/archive?${query}`,
      { body: 'tar', headers: { 'Content-Type': 'text/plain' } },
      fake,
    );
    assert.equal(status, 200);
    assert.equal(fake.calls.at(-1), 'write /etc tar {"noOverwriteDirNonDir":true,"copyUidGid":true}');
  });

  it('changes and commits', async () => {
    assert.equal((await ask('GET', '/containers/web/changes')).body, '[{"Path":"/new","Kind":1}]\n');
    const fake = fakeServices();
    const json = { body: 'null\n', headers: { 'Content-Type': 'application/json' } };
    const query = 'container=web&repo=docker.io%2Flibrary%2Fi&tag=t&author=a&comment=c&changes=ENV+A%3Db&changes=CMD+x&pause=0';
    const { status, body } = await ask('POST', `/commit?${query}`, json, fake);
    assert.equal(status, 201);
    assert.match(body, /^\{"Id":"sha256:[0-9a-f]{64}"\}\n$/);
    const options = {
      image: 'docker.io/library/i:t',
      author: 'a',
      comment: 'c',
      pause: false,
      changes: ['ENV A=b', 'CMD x'],
      config: null,
    };
    assert.equal(fake.calls.at(-1), `commit web ${JSON.stringify(options)}`);
    await ask('POST', '/commit?container=web', { ...json, body: '{"Cmd":["a"],"Env":null}' }, fake);
    assert.match(fake.calls.at(-1) ?? '', /"image":null,"author":"","comment":"","pause":true,"changes":\[\],"config":\{.*"Cmd":\["a"\]/);
    assert.equal((await ask('POST', '/commit', json)).status, 400);
    assert.equal((await ask('POST', '/commit?container=none', json)).status, 404);
  });
});
