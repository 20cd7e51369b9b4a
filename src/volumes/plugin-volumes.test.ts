/** Volumes of plugins, with a plugin in this process. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import { type Database, openDatabase } from '../store/database.ts';
import { callPlugin } from './plugin-client.ts';
import { findPlugin, listPlugins } from './plugin-discovery.ts';
import { FakePlugin } from './testing/fake-plugin.ts';
import { createVolumes } from './volume-service.ts';
import type { Volumes } from './volumes.ts';

const [containerA, containerB] = ['a'.repeat(64), 'b'.repeat(64)] as [ContainerId, ContainerId];
const request = { name: 'shelf', driver: 'fake', driverOptions: { size: '1' }, labels: { a: 'b' } };

let root: string;
let plugin: FakePlugin;
let database: Database;
let volumes: Volumes;

const directories = () => ({ sockets: [join(root, 'sockets')], specs: [join(root, 'specs')] });

async function open(): Promise<void> {
  database = await openDatabase(join(root, 'gantry.db'));
  volumes = await createVolumes({ database, dataRoot: root, logger: silentLogger, plugins: directories() });
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'g-plugin-'));
  mkdirSync(join(root, 'sockets'));
  mkdirSync(join(root, 'specs'));
  plugin = new FakePlugin(join(root, 'plugin'));
  await plugin.listen(join(root, 'sockets', 'fake.sock'));
  await open();
});

afterEach(async () => {
  plugin.close();
  await volumes.close();
  await database.close();
  rmSync(root, { recursive: true, force: true });
});

function refused(code: string, message: RegExp) {
  return (thrown: unknown) => {
    assert.ok(thrown instanceof EngineError, String(thrown));
    assert.match(thrown.message, message);
    assert.equal(thrown.code, code);
    return true;
  };
}

test('a plugin volume lives in the plugin, its labels with us', async () => {
  const view = await volumes.create(request);
  assert.deepEqual(
    [view.driver, view.scope, view.mountpoint, view.labels, view.options],
    ['fake', 'global', join(root, 'plugin/shelf'), { a: 'b' }, { size: '1' }],
  );
  assert.deepEqual(view.status, { shelf: 3 });
  assert.deepEqual(plugin.calls.find(({ method }) => method === 'Create')?.body, { Name: 'shelf', Opts: { size: '1' } });
  assert.ok(volumes.drivers.includes('fake'));
  assert.deepEqual((await volumes.create(request)).createdAt, view.createdAt);
  assert.equal(plugin.methods().filter((method) => method === 'Create').length, 1);
  await assert.rejects(
    volumes.create({ ...request, driver: 'local' }),
    refused('conflict', /^create shelf: driver 'fake' already has volume 'shelf': volume name must be unique$/),
  );
  await volumes.remove('shelf', { force: false });
  assert.equal(plugin.volumes.size, 0);
  await assert.rejects(volumes.inspect('shelf'), refused('not-found', /get shelf: no such volume/));
});

test('mounts: an id for each container, the same one to unmount, also after a restart', async () => {
  await volumes.create(request);
  plugin.calls.length = 0;
  assert.deepEqual(await volumes.mount('shelf', containerA), { path: join(root, 'plugin/shelf') });
  await volumes.mount('shelf', containerA);
  await volumes.mount('shelf', containerB);
  await volumes.unmount('shelf', containerA);
  const mounts = plugin.calls.filter(({ method }) => method === 'Mount').map(({ body }) => body.ID);
  assert.equal(new Set(mounts).size, 2);
  assert.ok(!plugin.methods().includes('Unmount'));
  await volumes.close();
  await database.close();
  await open();
  await volumes.restore([{ container: containerA, names: ['shelf'] }]);
  await volumes.unmount('shelf', containerA);
  assert.deepEqual(plugin.calls.at(-1), { method: 'Unmount', body: { Name: 'shelf', ID: mounts[0] } });
});

test('what only the plugin knows is listed, found, used and removed', async () => {
  await volumes.create({ ...request, name: 'ours' });
  mkdirSync(join(root, 'plugin/theirs'));
  plugin.volumes.set('theirs', { options: {}, path: join(root, 'plugin/theirs') });
  const { volumes: listed, warnings } = await volumes.list({});
  assert.deepEqual(
    listed.map(({ name, driver, labels }) => [name, driver, labels]),
    [
      ['ours', 'fake', { a: 'b' }],
      ['theirs', 'fake', {}],
    ],
  );
  assert.deepEqual(warnings, []);
  assert.equal((await volumes.inspect('theirs')).createdAt.toISOString(), '2026-01-02T03:04:05.000Z');
  assert.equal((await volumes.create({ ...request, name: 'theirs', driver: '' })).driver, 'fake');
  assert.equal((await volumes.mount('theirs', containerA)).path, join(root, 'plugin/theirs'));
  await volumes.unmount('theirs', containerA);
  await volumes.remove('theirs', { force: false });
  assert.equal(plugin.volumes.size, 1);
});

test('content: filled, exported, imported and cloned while it is mounted for it', async () => {
  await volumes.create(request);
  mkdirSync(join(root, 'image/low/srv'), { recursive: true });
  writeFileSync(join(root, 'image/low/srv/f'), 'x');
  assert.equal(await volumes.populate('shelf', { base: join(root, 'image'), lowers: ['low'], path: 'srv' }), true);
  assert.deepEqual(readdirSync(join(root, 'plugin/shelf')), ['f']);
  const archive = await (await volumes.export('shelf')).toArray();
  await volumes.create({ ...request, name: 'other' });
  await volumes.import('other', Readable.from(archive), { merge: false });
  assert.deepEqual(readdirSync(join(root, 'plugin/other')), ['f']);
  assert.equal((await volumes.clone('shelf', 'copy', {})).driver, 'local');
  assert.deepEqual(readdirSync(join(root, 'volumes/copy/_data')), ['f']);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const methods = plugin.methods();
  assert.equal(methods.filter((method) => method === 'Mount').length, methods.filter((method) => method === 'Unmount').length);
});

test('what a plugin says no with is passed on; what it does not say is named', async () => {
  plugin.failures.set('Create', 'out of shelves');
  await assert.rejects(volumes.create(request), refused('system', /^create shelf: VolumeDriver\.Create: out of shelves$/));
  assert.deepEqual((await volumes.list({})).volumes, []);
  plugin.failures.set('Create', '500 boom');
  await assert.rejects(volumes.create(request), refused('system', /^create shelf: VolumeDriver\.Create: boom$/));
  plugin.failures.set('Create', 'nonsense');
  await assert.rejects(volumes.create(request), refused('system', /plugin "fake": VolumeDriver\.Create: its answer is not a JSON object/));
  plugin.failures.clear();
  await volumes.create(request);
  plugin.failures.set('List', 'not today');
  const { volumes: listed, warnings } = await volumes.list({});
  assert.deepEqual([listed.map(({ name }) => name), warnings], [['shelf'], ['list: VolumeDriver.List: not today']]);
  plugin.failures.set('Remove', 'never');
  await assert.rejects(volumes.remove('shelf', { force: false }), refused('system', /^remove shelf: VolumeDriver\.Remove: never$/));
  await volumes.remove('shelf', { force: true });
});

test('a plugin that is gone: the others are listed, with a warning; force removes', async () => {
  await volumes.create(request);
  await volumes.create({ ...request, name: 'local', driver: '', driverOptions: {} });
  plugin.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(
    (await volumes.list({})).volumes.map(({ name }) => name),
    ['local', 'shelf'],
  );
  await assert.rejects(
    volumes.mount('shelf', containerA),
    refused('not-found', /error looking up volume plugin fake: plugin "fake" not found/),
  );
  await assert.rejects(volumes.remove('shelf', { force: false }), /remove shelf: /);
  await volumes.remove('shelf', { force: true });
  assert.deepEqual(
    (await volumes.list({})).volumes.map(({ name }) => name),
    ['local'],
  );
});

test('callPlugin: one that never answers is given up', async () => {
  plugin.failures.set('List', 'silence');
  const address = await findPlugin(directories(), 'fake');
  assert.ok(address !== null);
  await assert.rejects(
    callPlugin(address, 'VolumeDriver.List', {}, 100),
    refused('unavailable', /plugin "fake": VolumeDriver\.List: no answer within 0\.1 s/),
  );
});

test('a plugin for something else is no volume driver', async () => {
  plugin.implements = ['NetworkDriver'];
  await new Promise((resolve) => setTimeout(resolve, 20));
  await volumes.close();
  volumes = await createVolumes({ database, dataRoot: root, logger: silentLogger, plugins: directories() });
  await assert.rejects(volumes.create(request), refused('not-found', /error looking up volume plugin fake: plugin "fake" not found/));
});

test('discovery: sockets, folders, specs and JSON files; names that are paths are nobody', async () => {
  mkdirSync(join(root, 'sockets/nested'));
  const nested = createServer().listen(join(root, 'sockets/nested/nested.sock'));
  writeFileSync(join(root, 'specs/byspec.spec'), `unix://${root}/sockets/fake.sock\n`);
  writeFileSync(join(root, 'specs/bytcp.spec'), 'tcp://localhost:8080');
  writeFileSync(
    join(root, 'specs/byjson.json'),
    JSON.stringify({ Name: 'byjson', Addr: 'https://example.com/docker/plugin', TLSConfig: { InsecureSkipVerify: true } }),
  );
  writeFileSync(join(root, 'specs/broken.json'), '{');
  assert.deepEqual(await listPlugins(directories()), ['broken', 'byjson', 'byspec', 'bytcp', 'fake', 'nested']);
  const find = (name: string) => findPlugin(directories(), name);
  assert.equal((await find('nested'))?.request.socketPath, join(root, 'sockets/nested/nested.sock'));
  assert.equal((await find('byspec'))?.request.socketPath, join(root, 'sockets/fake.sock'));
  assert.deepEqual((await find('bytcp'))?.request, { host: 'localhost', port: 8080 });
  const json = await find('byjson');
  assert.deepEqual(
    [json?.tls, json?.basePath, json?.request],
    [true, '/docker/plugin', { host: 'example.com', port: 443, rejectUnauthorized: false }],
  );
  await assert.rejects(find('broken'), /broken\.json can't be used/);
  for (const name of ['../fake', '', '.', '..', 'a/b', 'a\0b']) assert.equal(await find(name), null);
  assert.equal((await volumes.create({ ...request, driver: 'byspec' })).driver, 'byspec');
  nested.close();
});
