/** Volumes in the life of a container, over fakes of everything below. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import type { FakeProcess } from './testing/fake-runtime.ts';
import { type Fixture, serviceFixture } from './testing/service-fixture.ts';

const withoutVolumes = { force: false, volumes: false };
const withVolumes = { force: true, volumes: true };

async function mountsOf({ service }: Fixture, id: string) {
  return (await service.inspect(id)).mounts;
}

async function runningProcess(fixture: Fixture, id: string): Promise<FakeProcess> {
  await fixture.service.start(id);
  const process = fixture.runtime.processes.get(id);
  assert.ok(process !== undefined);
  return process;
}

test('create: named, anonymous and image volumes are made, filled, and listed as Docker lists them', async (context) => {
  const fixture = await serviceFixture(context, { Cmd: ['/bin/true'], Volumes: { '/image': {}, '/tmpfs': {}, named: {} } });
  const { volumes, directory } = fixture;
  const id = await fixture.create(
    { Volumes: { '/anonymous': {} } },
    { Binds: ['v1:/named:ro', 'v2:/second:nocopy'], Tmpfs: { '/tmpfs': '' } },
  );
  const mounts = await mountsOf(fixture, id);
  assert.deepEqual(
    mounts.map(({ type, destination, mode, rw, driver, propagation }) => [type, destination, mode, rw, driver, propagation]),
    [
      ['volume', '/named', 'ro', false, 'local', ''],
      ['volume', '/second', 'nocopy', true, 'local', ''],
      ['volume', '/image', '', true, 'local', ''],
      ['volume', '/anonymous', '', true, 'local', ''],
    ],
  );
  assert.equal(mounts[0]?.source, '/volumes/v1/_data');
  assert.match(mounts[2]?.name ?? '', /^[0-9a-f]{64}$/);
  assert.deepEqual(
    volumes.populated.map(([, { base, lowers, path }]) => [base, lowers, path]),
    ['/named', '/image', '/anonymous'].map((path) => [join(directory, 'layers'), ['base'], path]),
  );
  assert.deepEqual(
    [...volumes.views.values()].map(({ anonymous }) => anonymous),
    [false, false, true, true],
  );
});

test('create: one that fails leaves no volume that it made, and keeps those that were there', async (context) => {
  const fixture = await serviceFixture(context);
  const { volumes } = fixture;
  await volumes.create({ name: 'there', driver: '', driverOptions: {}, labels: {} });
  volumes.before = (call, name) => {
    if (call === 'create' && name === 'last') throw new Error('no such driver');
  };
  await assert.rejects(
    fixture.create({ Volumes: { '/a': {} } }, { Binds: ['there:/there', 'fresh:/fresh', 'last:/last'] }, 'box1'),
    /no such driver/,
  );
  assert.deepEqual([...volumes.views.keys()], ['there']);
  assert.deepEqual(volumes.usersOf('there'), []);
  await fixture.create({}, {}, 'box1');
  volumes.before = () => {};
  fixture.database.refuse = (sql) => (sql.startsWith('INSERT') ? new Error('disk full') : null);
  await assert.rejects(fixture.create({ Volumes: { '/a': {} } }), /disk full/);
  assert.deepEqual([...volumes.views.keys()], ['there']);
});

test('create: a volume counts as used from before it exists', async (context) => {
  const fixture = await serviceFixture(context);
  const seen: (readonly ContainerId[])[] = [];
  fixture.volumes.before = (call, name) => {
    if (call !== 'mount') seen.push(fixture.volumes.usersOf(name));
  };
  const id = await fixture.create({ Volumes: { '/a': {} } });
  assert.deepEqual(seen, [[id], [id]]);
  assert.deepEqual(fixture.volumes.usersOf([...fixture.volumes.views.keys()][0] ?? ''), [id]);
});

test('create: what is wrong is told before anything is made', async (context) => {
  const fixture = await serviceFixture(context, { Cmd: ['/bin/true'], Volumes: { '/etc/passwd': {} } });
  const refuses = (hostConfig: Parameters<Fixture['create']>[1], message: RegExp) =>
    assert.rejects(fixture.create({}, { Binds: ['fresh:/x'], ...hostConfig }), { code: 'invalid', message });
  await refuses({}, /cannot mount volume over existing file, file exists \/etc\/passwd/);
  await refuses({ VolumesFrom: ['nobody'] }, /^No such container: nobody$/);
  await refuses(
    { Mounts: [{ Type: 'image', Source: 'none', Target: '/i' }] },
    /invalid mount config for type "image": No such image: none:latest/,
  );
  assert.equal(fixture.volumes.views.size, 0);
});

test('start and end: volumes are mounted for the run and bound at their places', async (context) => {
  const fixture = await serviceFixture(context);
  const { volumes } = fixture;
  const id = await fixture.create(
    {},
    { Mounts: [{ Type: 'volume', Source: 'v', Target: '/v', ReadOnly: true, VolumeOptions: { Subpath: 'a' } }] },
  );
  const process = await runningProcess(fixture, id);
  assert.deepEqual(volumes.held, [`v ${id}`]);
  const mount = process.request.spec.mounts.find(({ destination }) => destination === '/v');
  assert.deepEqual(mount, {
    destination: '/v',
    type: 'bind',
    source: '/volumes/v/_data',
    options: ['rbind', 'rro', 'rprivate'],
    subpath: 'a',
  });
  process.exit(0);
  await fixture.service.wait(id, 'not-running', new AbortController().signal).then(({ exit }) => exit);
  assert.deepEqual(volumes.held, []);
});

test('start: one that fails holds no volume, whichever part failed', async (context) => {
  const fixture = await serviceFixture(context);
  const { volumes, runtime } = fixture;
  const id = await fixture.create({}, { Binds: ['one:/1', 'two:/2'] });
  volumes.before = (call, name) => {
    if (call === 'mount' && name === 'two') throw new Error('nfs server is away');
  };
  await assert.rejects(fixture.service.start(id), /nfs server is away/);
  assert.deepEqual(volumes.held, []);
  volumes.before = () => {};
  runtime.beforeStart = () => {
    assert.equal(volumes.held.length, 2);
    throw new Error('no runtime');
  };
  await assert.rejects(fixture.service.start(id), /no runtime/);
  assert.deepEqual(volumes.held, []);
});

test('volumes-from: in order, read-only where asked, without what the container mounts itself', async (context) => {
  const fixture = await serviceFixture(context);
  await fixture.create(
    { Volumes: { '/anonymous': {} } },
    { Binds: ['a:/shared', `${fixture.directory}:/bind:ro`], Tmpfs: { '/t': '' } },
    'first',
  );
  await fixture.create({}, { Binds: ['b:/shared', 'c:/other'] }, 'second');
  const id = await fixture.create({ Volumes: { '/other': {} } }, { VolumesFrom: ['first:ro', 'second'], Binds: ['own:/anonymous'] });
  const mounts = await mountsOf(fixture, id);
  assert.deepEqual(
    mounts.map(({ name, destination, rw, mode }) => [name ?? 'bind', destination, rw, mode]),
    [
      ['b', '/shared', true, ''],
      ['bind', '/bind', false, ''],
      ['own', '/anonymous', true, 'z'],
      ['c', '/other', true, ''],
    ],
  );
  assert.equal(fixture.volumes.populated.filter(([name]) => name === 'b').length, 1, 'not filled again');
});

test('remove: anonymous volumes go with -v once nobody else has them, named ones never', async (context) => {
  const fixture = await serviceFixture(context);
  const { volumes, service } = fixture;
  const first = await fixture.create({ Volumes: { '/a': {} } }, { Binds: ['named:/n'] }, 'first');
  const second = await fixture.create({}, { VolumesFrom: ['first'] });
  const kept = await fixture.create({ Volumes: { '/b': {} } });
  assert.equal(volumes.views.size, 3);
  await service.remove(first, withVolumes);
  assert.equal(volumes.views.size, 3);
  await service.remove(second, withVolumes);
  assert.equal(volumes.views.size, 2);
  await service.remove(kept, withoutVolumes);
  assert.equal(volumes.views.size, 2);
  assert.ok(volumes.views.has('named'));
});

test('--rm: anonymous volumes go with the container, after a run and after a start that failed', async (context) => {
  const fixture = await serviceFixture(context);
  const id = await fixture.create({ Volumes: { '/a': {} } }, { AutoRemove: true, Binds: ['named:/n'] });
  const { exit } = await fixture.service.wait(id, 'removed', new AbortController().signal);
  (await runningProcess(fixture, id)).exit(0);
  await exit;
  assert.deepEqual([...fixture.volumes.views.keys()], ['named']);
  fixture.runtime.beforeStart = () => {
    throw new Error('no');
  };
  const failing = await fixture.create({ Volumes: { '/a': {} } }, { AutoRemove: true });
  await assert.rejects(fixture.service.start(failing));
  assert.deepEqual([...fixture.volumes.views.keys()], ['named']);
});

test('restart of the daemon: volumes of what runs are held again, and of nothing else', async (context) => {
  const fixture = await serviceFixture(context);
  const id = await fixture.create({}, { Binds: ['v:/v', 'v:/w'] });
  await fixture.create({}, { Binds: ['other:/v'] });
  await runningProcess(fixture, id);
  fixture.volumes.held.length = 0;
  await fixture.restart();
  assert.deepEqual(fixture.volumes.held, [`v ${id}`, `v ${id}`]);
});

test('image mounts: layers at a start, an empty one below a single one; the image counts as used', async (context) => {
  const fixture = await serviceFixture(context);
  const id = await fixture.create({}, { Mounts: [{ Type: 'image', Source: 'box', Target: '/i', ImageOptions: { Subpath: 'etc' } }] });
  const process = await runningProcess(fixture, id);
  const mount = process.request.spec.mounts.find(({ destination }) => destination === '/i');
  assert.deepEqual([mount?.type, mount?.subpath, mount?.layers], ['layers', 'etc', ['base', `../containers/${id}/empty`]]);
  const [listed] = await mountsOf(fixture, id);
  assert.deepEqual([listed?.type, listed?.rw], ['image', false]);
  process.exit(0);
});

test('owners: the owner of the source and the one asked for change places', async (context) => {
  const fixture = await serviceFixture(context);
  const source = join(fixture.directory, 'file');
  writeFileSync(source, '');
  const id = await fixture.create(
    {},
    { Mounts: [{ Type: 'bind', Source: source, Target: '/f', BindOptions: { Idmap: 'owner=1234:4321' } }] },
  );
  const process = await runningProcess(fixture, id);
  const mount = process.request.spec.mounts.find(({ destination }) => destination === '/f');
  const from = globalThis.process.getuid?.() ?? 0;
  assert.ok(mount?.uidMappings?.some(({ containerID, hostID, size }) => containerID === from && hostID === 1234 && size === 1));
  assert.ok(mount?.gidMappings?.some(({ hostID, size }) => hostID === 4321 && size === 1));
  process.exit(0);
});

test('filter volume: by name, by destination, and by the source of a bind', async (context) => {
  const fixture = await serviceFixture(context);
  const a = await fixture.create({}, { Binds: ['data:/x'] });
  const b = await fixture.create({}, { Binds: [`${fixture.directory}:/y`] });
  const found = async (volume: string) => {
    const list = await fixture.service.list({ all: true, limit: null, size: false, filters: { volume: [volume] } });
    return list.map(({ id }) => id);
  };
  assert.deepEqual([await found('data'), await found('/y'), await found(fixture.directory), await found('none')], [[a], [b], [b], []]);
});
