/** Volumes without mounts; what needs root is in test/kernel/volumes.test.ts. (Owners can't be changed to our own without root either way: we keep them.) */
import assert from 'node:assert/strict';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { ContainerId } from '../base/brand.ts';
import { EngineError } from '../base/errors.ts';
import { silentLogger } from '../base/log.ts';
import { type Database, openDatabase } from '../store/database.ts';
import { createVolumes } from './volume-service.ts';
import type { VolumeEvent, Volumes } from './volumes.ts';

const ids = ['a', 'b'].map((digit) => digit.repeat(64)) as ContainerId[];
const [containerA, containerB] = ids as [ContainerId, ContainerId];
const request = { driver: '', driverOptions: {}, labels: {} };

let root: string;
let database: Database;
let volumes: Volumes;
let events: VolumeEvent[];

async function open(): Promise<void> {
  database = await openDatabase(join(root, 'gantry.db'));
  volumes = await createVolumes({ database, dataRoot: root, logger: silentLogger, plugins: { sockets: [], specs: [] } });
  events = [];
  volumes.onEvent((event) => events.push(event));
}

async function close(): Promise<void> {
  await volumes.close();
  await database.close();
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'g-volumes-'));
  await open();
});

afterEach(async () => {
  await close();
  rmSync(root, { recursive: true, force: true });
});

const data = (name: string, path = '') => join(root, 'volumes', name, '_data', path);

function refused(code: string, message: RegExp) {
  return (thrown: unknown) => {
    assert.ok(thrown instanceof EngineError, String(thrown));
    assert.match(thrown.message, message);
    assert.equal(thrown.code, code);
    return true;
  };
}

async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('create: a directory nobody else gets through, a record, and the same volume again', async () => {
  const made = await volumes.create({ ...request, name: 'web', labels: { a: '1', ['__proto__']: 'x' } });
  assert.equal(made.mountpoint, data('web'));
  assert.deepEqual([made.driver, made.scope, made.options, made.anonymous, made.users], ['local', 'local', null, false, []]);
  assert.equal(statSync(join(root, 'volumes')).mode & 0o7777, 0o701);
  assert.equal(statSync(join(root, 'volumes', 'web')).mode & 0o7777, 0o701);
  assert.equal(statSync(data('web')).mode & 0o7777, 0o755);
  const again = await volumes.create({ ...request, name: 'web', driver: 'local', labels: { b: '2' } });
  assert.deepEqual(again, made);
  assert.deepEqual(events, [{ action: 'create', id: 'web', attributes: { driver: 'local' } }]);
  await close();
  await open();
  assert.deepEqual(await volumes.inspect('web'), made);
});

test('create: concurrent calls make one volume', async () => {
  const views = await Promise.all(Array.from({ length: 8 }, () => volumes.create({ ...request, name: 'one' })));
  assert.equal(new Set(views.map(({ createdAt }) => createdAt.getTime())).size, 1);
  assert.equal(events.length, 1);
});

test('create: an anonymous one has a random name and a label', async () => {
  const view = await volumes.create({ ...request, name: null });
  assert.match(view.name, /^[0-9a-f]{64}$/);
  assert.deepEqual([view.labels, view.anonymous], [{ 'com.docker.volume.anonymous': '' }, true]);
});

test('create: names that are none (SEC-17), drivers that are not there, options that mean nothing', async () => {
  for (const name of ['../x', 'a/b', '.hidden', '-x', 'a b', 'ab\n', '', 'ä1', '..']) {
    const expected =
      name === ''
        ? /^create : "" includes invalid/
        : /includes invalid characters for a local volume name, only "\[a-zA-Z0-9\]\[a-zA-Z0-9_\.-\]" are allowed/;
    await assert.rejects(volumes.create({ ...request, name }), refused('invalid', expected), name);
  }
  await assert.rejects(volumes.create({ ...request, name: 'x' }), refused('invalid', /name is too short/));
  await assert.rejects(volumes.create({ ...request, name: 'y'.repeat(256) }), refused('invalid', /limit is 255/));
  await assert.rejects(
    volumes.create({ ...request, name: 'web', driver: 'nope' }),
    refused('not-found', /^create web: error looking up volume plugin nope: plugin "nope" not found$/),
  );
  const options: readonly [Record<string, string>, RegExp][] = [
    [{ foo: 'x' }, /^create web: invalid option: "foo"$/],
    [{ type: 'tmpfs' }, /^create web: missing required option: "device"$/],
    [{ device: 'tmpfs' }, /^create web: missing required option: "type"$/],
    [{ o: 'size=1m' }, /^create web: missing required option: "device"$/],
    [{ size: '10G' }, /quota size requested but no quota support/],
    [{ type: 'none', device: '' }, /missing device in volume options/],
  ];
  for (const [driverOptions, message] of options) {
    await assert.rejects(volumes.create({ ...request, name: 'web', driverOptions }), refused('invalid', message));
  }
  assert.deepEqual(readdirSync(join(root, 'volumes')), []);
  assert.deepEqual((await volumes.list({})).volumes, []);
});

test('create: the longest name', async () => {
  const name = 'n'.repeat(255);
  await volumes.create({ ...request, name });
  assert.ok(existsSync(data(name)));
  await volumes.remove(name, { force: false });
  assert.deepEqual(readdirSync(join(root, 'volumes')), []);
});

test('inspect, remove: what is not there', async () => {
  await assert.rejects(volumes.inspect('nope'), refused('not-found', /^get nope: no such volume$/));
  await assert.rejects(volumes.inspect('../../etc'), refused('not-found', /^get \.\.\/\.\.\/etc: no such volume$/));
  await assert.rejects(volumes.remove('nope', { force: false }), refused('not-found', /^get nope: no such volume$/));
  await volumes.remove('nope', { force: true });
  await assert.rejects(volumes.mount('nope', containerA), refused('not-found', /no such volume/));
});

test('remove: not while somebody uses it; then all of it', async () => {
  await volumes.create({ ...request, name: 'web' });
  mkdirSync(data('web', 'd/e'), { recursive: true });
  writeFileSync(data('web', 'd/e/f'), '');
  volumes.setUsers(() => [containerA, containerB]);
  const message = new RegExp(`^remove web: volume is in use - \\[${containerA}, ${containerB}\\]$`);
  await assert.rejects(volumes.remove('web', { force: true }), refused('conflict', message));
  volumes.setUsers(() => []);
  await volumes.mount('web', containerA);
  await assert.rejects(volumes.remove('web', { force: false }), refused('conflict', /^remove web: volume has active mounts$/));
  await volumes.unmount('web', containerA);
  await volumes.remove('web', { force: false });
  assert.deepEqual(readdirSync(join(root, 'volumes')), []);
  assert.deepEqual(
    events.map(({ action }) => action),
    ['create', 'mount', 'unmount', 'destroy'],
  );
  assert.deepEqual(events[1]?.attributes, { driver: 'local', container: containerA });
});

test('mount: its own directory, said when it is gone', async () => {
  await volumes.create({ ...request, name: 'web' });
  assert.deepEqual(await volumes.mount('web', containerA, { destination: '/d' }), { path: data('web') });
  assert.equal(events.at(-1)?.attributes.destination, '/d');
  rmSync(data('web'), { recursive: true });
  await assert.rejects(volumes.mount('web', containerB), refused('system', /error while mounting volume .* the directory is gone/));
  await volumes.unmount('web', containerB);
  assert.equal(events.at(-1)?.action, 'mount');
});

test('list: filters', async () => {
  await volumes.create({ ...request, name: 'web-data', labels: { tier: 'web' } });
  await volumes.create({ ...request, name: 'db-data', labels: { tier: 'db', keep: '' } });
  volumes.setUsers((name) => (name === 'db-data' ? [containerA] : []));
  const names = async (filters: Record<string, readonly string[]>) => (await volumes.list(filters)).volumes.map(({ name }) => name);
  assert.deepEqual(await names({}), ['db-data', 'web-data']);
  assert.deepEqual(await names({ dangling: ['true'] }), ['web-data']);
  assert.deepEqual(await names({ dangling: ['0'] }), ['db-data']);
  assert.deepEqual(await names({ name: ['db', 'nope'] }), ['db-data']);
  assert.deepEqual(await names({ label: ['tier=web'] }), ['web-data']);
  assert.deepEqual(await names({ label: ['tier', 'keep'] }), ['db-data']);
  assert.deepEqual(await names({ label: ['toString'] }), []);
  assert.deepEqual(await names({ driver: ['nope'] }), []);
  assert.deepEqual(await names({ driver: ['local'], name: ['web'] }), ['web-data']);
  await assert.rejects(names({ nope: ['x'] }), refused('invalid', /^invalid filter 'nope'$/));
  await assert.rejects(names({ dangling: ['maybe'] }), refused('invalid', /^invalid filter 'dangling=\[maybe\]'/));
});

test('size: each file once', async () => {
  await volumes.create({ ...request, name: 'web' });
  mkdirSync(data('web', 'd'));
  writeFileSync(data('web', 'd/f'), 'x'.repeat(1000));
  linkSync(data('web', 'd/f'), data('web', 'again'));
  writeFileSync(data('web', 'g'), 'y'.repeat(10));
  assert.equal((await volumes.inspect('web', { size: true })).sizeBytes, 1010);
  assert.equal((await volumes.list({}, { size: true })).volumes[0]?.sizeBytes, 1010);
  assert.equal((await volumes.inspect('web')).sizeBytes, null);
});

test('prune: anonymous ones, unless all are asked for', async () => {
  const anonymous = await volumes.create({ ...request, name: null });
  const used = await volumes.create({ ...request, name: null });
  await volumes.create({ ...request, name: 'web', labels: { keep: 'yes' } });
  await volumes.create({ ...request, name: 'old' });
  volumes.setUsers((name) => (name === used.name ? [containerA] : []));
  writeFileSync(data(anonymous.name, 'f'), 'x'.repeat(100));
  assert.deepEqual(await volumes.prune({}), { removed: [anonymous.name], reclaimedBytes: 100 });
  assert.deepEqual(events.at(-1), { action: 'prune', id: '', attributes: { reclaimed: '100' } });
  assert.deepEqual((await volumes.prune({ all: ['true'], 'label!': ['keep=yes'] })).removed, ['old']);
  assert.deepEqual((await volumes.prune({ all: ['1'], label: ['keep'] })).removed, ['web']);
  await assert.rejects(volumes.prune({ dangling: ['true'] }), refused('invalid', /^invalid filter 'dangling'$/));
});

test('rename: content and record move; one in use does not', async () => {
  const { name } = await volumes.create({ ...request, name: null, labels: { a: '1' } });
  writeFileSync(data(name, 'f'), 'hello');
  volumes.setUsers(() => [containerA]);
  await assert.rejects(
    volumes.rename(name, 'named'),
    refused('conflict', /^rename .*: volume is in use - \[a+\]: containers know a volume by its name/),
  );
  volumes.setUsers(() => []);
  await volumes.create({ ...request, name: 'taken' });
  await assert.rejects(volumes.rename(name, 'taken'), refused('conflict', /there is a volume taken already/));
  await assert.rejects(volumes.rename(name, '../x'), refused('invalid', /includes invalid characters/));
  await assert.rejects(volumes.rename('nope', 'other'), refused('not-found', /get nope: no such volume/));
  const view = await volumes.rename(name, 'named');
  assert.deepEqual([view.name, view.labels, view.anonymous, view.mountpoint], ['named', { a: '1' }, false, data('named')]);
  assert.equal(readFileSync(data('named', 'f'), 'utf8'), 'hello');
  await assert.rejects(volumes.inspect(name), refused('not-found', /no such volume/));
  assert.deepEqual(events.at(-1), { action: 'rename', id: 'named', attributes: { driver: 'local', oldName: name } });
});

test('clone: an equal one; a name that is taken is refused', async () => {
  await volumes.create({ ...request, name: 'web' });
  writeFileSync(data('web', 'f'), 'hello', { mode: 0o600 });
  symlinkSync('f', data('web', 'l'));
  const view = await volumes.clone('web', 'copy', { of: 'web' });
  assert.deepEqual([view.name, view.labels], ['copy', { of: 'web' }]);
  assert.equal(readFileSync(data('copy', 'l'), 'utf8'), 'hello');
  assert.deepEqual(readdirSync(join(root, 'volumes', 'copy')), ['_data']);
  await assert.rejects(volumes.clone('web', 'copy', {}), refused('conflict', /^clone web: there is a volume copy already/));
  await assert.rejects(volumes.clone('nope', 'copy2', {}), refused('not-found', /get nope: no such volume/));
  assert.deepEqual(readdirSync(join(root, 'volumes')).sort(), ['copy', 'web']);
});

test('export | import: the same bytes, whatever they were packed with', async () => {
  await volumes.create({ ...request, name: 'web' });
  mkdirSync(data('web', 'd'));
  writeFileSync(data('web', 'd/f'), 'x'.repeat(300_000));
  writeFileSync(data('web', 'zeros'), Buffer.alloc(200_000));
  linkSync(data('web', 'd/f'), data('web', 'again'));
  const archive = await bytesOf(await volumes.export('web'));
  assert.deepEqual(await bytesOf(await volumes.export('web')), archive);
  await volumes.create({ ...request, name: 'new' });
  await volumes.import('new', Readable.from([archive]), { merge: false });
  assert.deepEqual(await bytesOf(await volumes.export('new')), archive);
  assert.deepEqual(readdirSync(join(root, 'volumes', 'new')), ['_data']);
  await volumes.create({ ...request, name: 'zipped' });
  await volumes.import('zipped', Readable.from([gzipSync(archive)]), { merge: false });
  assert.deepEqual(await bytesOf(await volumes.export('zipped')), archive);
});

test('import: only into an empty volume, unless merging; a bad archive leaves nothing', async () => {
  await volumes.create({ ...request, name: 'web' });
  writeFileSync(data('web', 'f'), 'old');
  const archive = await bytesOf(await volumes.export('web'));
  writeFileSync(data('web', 'f'), 'new');
  writeFileSync(data('web', 'g'), 'mine');
  await assert.rejects(
    volumes.import('web', Readable.from([archive]), { merge: false }),
    refused('conflict', /^import into web: the volume is not empty/),
  );
  await volumes.import('web', Readable.from([archive]), { merge: true });
  assert.deepEqual([readFileSync(data('web', 'f'), 'utf8'), readFileSync(data('web', 'g'), 'utf8')], ['old', 'mine']);
  await volumes.create({ ...request, name: 'bad' });
  await assert.rejects(
    volumes.import('bad', Readable.from([archive.subarray(0, 1100)]), { merge: false }),
    refused('invalid', /ends in the middle/),
  );
  await assert.rejects(
    volumes.import('bad', Readable.from([Buffer.alloc(5000, 'x')]), { merge: false }),
    refused('invalid', /^import into bad: /),
  );
  assert.deepEqual(readdirSync(data('bad')), []);
  assert.deepEqual(readdirSync(join(root, 'volumes', 'bad')), ['_data']);
});

test('import: a client that goes away between two entries is not the end of the archive', async () => {
  await volumes.create({ ...request, name: 'web' });
  writeFileSync(data('web', 'f'), 'old');
  const archive = await bytesOf(await volumes.export('web'));
  await volumes.create({ ...request, name: 'cut' });
  const source = new Readable({ read() {} });
  source.on('error', () => {});
  const imported = volumes.import('cut', source, { merge: false });
  source.push(archive.subarray(0, archive.length - 1024));
  setTimeout(() => source.destroy(new Error('connection reset')), 100);
  await assert.rejects(imported, refused('invalid', /the client went away/));
  assert.deepEqual(readdirSync(data('cut')), []);
});

test('export: a reader that leaves early ends the work, and the volume is free again', async () => {
  await volumes.create({ ...request, name: 'web' });
  writeFileSync(data('web', 'f'), Buffer.alloc(20 * 1024 * 1024, 'x'));
  const stream = await volumes.export('web');
  await new Promise((resolve) => stream.once('readable', resolve));
  await assert.rejects(
    volumes.remove('web', { force: false }),
    refused('conflict', /^remove web: volume is in use: it is being exported$/),
  );
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.destroy();
  await closed;
  await new Promise((resolve) => setTimeout(resolve, 20));
  await volumes.remove('web', { force: false });
});

test('populate: only an empty volume, and nothing for what the image lacks', async () => {
  mkdirSync(join(root, 'image/low/srv/www'), { recursive: true });
  mkdirSync(join(root, 'image/top/var'), { recursive: true });
  writeFileSync(join(root, 'image/low/srv/www/index'), 'low');
  symlinkSync('/srv', join(root, 'image/top/var/www'));
  const source = (path: string) => ({ base: join(root, 'image'), lowers: ['top', 'low'], path });
  await volumes.create({ ...request, name: 'web' });
  assert.equal(await volumes.populate('web', source('/nope')), false);
  assert.deepEqual(readdirSync(data('web')), []);
  await assert.rejects(
    volumes.populate('web', source('/srv/www/index')),
    refused('invalid', /cannot mount volume over existing file, file exists/),
  );
  assert.equal(await volumes.populate('web', source('/var/www/www')), true);
  assert.equal(readFileSync(data('web', 'index'), 'utf8'), 'low');
  assert.equal(await volumes.populate('web', source('/srv')), false);
  assert.deepEqual(readdirSync(data('web')), ['index']);
  assert.deepEqual(readdirSync(join(root, 'volumes/web')), ['_data']);
});

test('populate: a container that runs keeps its directory and sees the content', async () => {
  mkdirSync(join(root, 'image/low/srv'), { recursive: true });
  writeFileSync(join(root, 'image/low/srv/f'), 'x');
  await volumes.create({ ...request, name: 'web' });
  await volumes.mount('web', containerA);
  const before = statSync(data('web')).ino;
  assert.equal(await volumes.populate('web', { base: join(root, 'image'), lowers: ['low'], path: '/srv' }), true);
  assert.equal(statSync(data('web')).ino, before);
  assert.deepEqual(readdirSync(data('web')), ['f']);
});

test('a crash between record and directory is put right at the next start', async () => {
  const place = (name: string) => join(root, 'volumes', name);
  for (const name of ['kept', 'lost', 'removing', 'renaming', 'unmoved']) {
    await volumes.create({ ...request, name });
    writeFileSync(data(name, 'f'), name);
  }
  await volumes.create({ ...request, name: 'gone' });
  await database.write('full', [
    { sql: "UPDATE volumes SET renaming_to = 'renamed' WHERE name = 'renaming'", params: [] },
    { sql: "UPDATE volumes SET renaming_to = 'moved' WHERE name = 'unmoved'", params: [] },
    { sql: "DELETE FROM volumes WHERE name = 'lost'", params: [] },
    { sql: "DELETE FROM volumes WHERE name = 'gone'", params: [] },
  ]);
  await close();
  const { LocalPaths } = await import('./local-paths.ts');
  const paths = new LocalPaths(root);
  renameSync(place('renaming'), place('renamed'));
  renameSync(place('removing'), paths.removed('removing'));
  renameSync(place('gone'), paths.removed('gone'));
  renameSync(place('kept'), paths.created('kept'));
  mkdirSync(paths.created('never'));
  mkdirSync(join(place('unmoved'), '.staged-1234', 'data'), { recursive: true });
  await open();
  const names = (await volumes.list({})).volumes.map(({ name }) => name);
  assert.deepEqual(names, ['kept', 'lost', 'removing', 'renamed', 'unmoved']);
  for (const name of ['kept', 'lost', 'removing', 'unmoved']) assert.equal(readFileSync(data(name, 'f'), 'utf8'), name);
  assert.equal(readFileSync(data('renamed', 'f'), 'utf8'), 'renaming');
  for (let tries = 0; readdirSync(join(root, 'volumes')).length > 5 && tries < 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(readdirSync(join(root, 'volumes')).sort(), names);
  for (let tries = 0; readdirSync(place('unmoved')).length > 1 && tries < 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(readdirSync(place('unmoved')), ['_data']);
});
