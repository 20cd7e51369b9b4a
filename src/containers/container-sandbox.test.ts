import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import { conflict } from '../base/errors.ts';
import { noSettings } from './container-networks.ts';
import { type Fixture, serviceFixture } from './testing/service-fixture.ts';

const onNet1 = { NetworkMode: 'net1' };
const hostsOf = ({ directory }: Fixture, id: string) => readFileSync(join(directory, 'containers', id, 'hosts'), 'utf8');

async function running(fixture: Fixture, name: string, hostConfig: Parameters<Fixture['create']>[1] = onNet1): Promise<ContainerId> {
  const id = await fixture.create({}, hostConfig, name);
  await fixture.service.start(id);
  return id as ContainerId;
}

async function ended(fixture: Fixture, id: string): Promise<void> {
  const { exit } = await fixture.service.wait(id, 'not-running', new AbortController().signal);
  await exit;
}

test('start: the process joins the prepared namespace, its monitor keeps the sockets, its files say its address', async (t) => {
  const fixture = await serviceFixture(t);
  const id = await running(fixture, 'web');
  const { request, kept } = fixture.runtime.process(id);
  assert.deepEqual(
    request.spec.linux.namespaces.find(({ type }) => type === 'network'),
    { type: 'network', path: '/proc/self/fd/99' },
  );
  assert.deepEqual(kept.descriptors, [{ label: 'dns-udp', fd: 99 }]);
  assert.match(hostsOf(fixture, id), new RegExp(`^172\\.17\\.0\\.\\d+\t${id.slice(0, 12)}$`, 'm'));
  const view = await fixture.service.inspect(id);
  assert.equal(view.networks.net1?.networkId, fixture.networks.inspect('net1').id);
  assert.match(view.networks.net1?.ipv4 ?? '', /^172\.17\.0\./);
  assert.match(view.sandboxKey, /^\/proc\/\d+\/ns\/net$/);
});

test('end: the monitor lets go and the network is left before the exit is told', async (t) => {
  const fixture = await serviceFixture(t);
  const id = await running(fixture, 'web');
  const { promise, resolve } = Promise.withResolvers<void>();
  const process = fixture.runtime.process(id);
  fixture.networks.before = async (call) => {
    if (!call.startsWith('detach')) return;
    assert.deepEqual(process.kept.descriptors, []);
    await promise;
  };
  process.exit(0);
  const over = ended(fixture, id);
  await new Promise((done) => setTimeout(done, 20));
  assert.ok(!fixture.actions().includes('die'));
  resolve();
  await over;
  assert.deepEqual(fixture.actions(), ['start', 'die']);
  const view = await fixture.service.inspect(id);
  assert.deepEqual([view.networks.net1?.ipv4, view.networks.net1?.networkId, view.ports], ['', fixture.networks.inspect('net1').id, {}]);
});

test('start: one that fails leaves no network behind; one whose network fails starts nothing', async (t) => {
  const fixture = await serviceFixture(t);
  const id = (await fixture.create({}, onNet1, 'web')) as ContainerId;
  fixture.runtime.beforeStart = () => {
    throw new Error('no');
  };
  await assert.rejects(fixture.service.start(id), /no/);
  assert.equal(fixture.networks.sandbox(id), null);
  fixture.runtime.beforeStart = () => {};
  fixture.networks.before = (call) => {
    if (call.startsWith('attach')) throw conflict('port is already allocated');
  };
  await assert.rejects(fixture.service.start(id), /port is already allocated/);
  assert.equal(fixture.runtime.processes.size, 0);
  fixture.networks.before = () => {};
  assert.equal(await fixture.service.start(id), 'started');
});

test('restart of the daemon: what runs is restored before anything else, and an end meanwhile still leaves the network', async (t) => {
  const fixture = await serviceFixture(t);
  const id = await running(fixture, 'web');
  await running(fixture, 'lonely', { NetworkMode: 'none' });
  const process = fixture.runtime.process(id);
  fixture.networks.before = (call) => {
    if (call === 'restore') process.exit(3);
  };
  const service = await fixture.restart();
  assert.deepEqual(
    fixture.networks.restored.map(({ containerName, kept }) => [containerName, kept.descriptors]),
    [['web', [{ label: 'dns-udp', fd: 99 }]]],
  );
  const { exit } = await service.wait(id, 'not-running', new AbortController().signal);
  assert.equal((await exit).statusCode, 3);
  assert.equal(fixture.networks.sandbox(id), null);
});

test('restart of the daemon: what the networks know of a container counts, where the last daemon died before it was recorded', async (t) => {
  const fixture = await serviceFixture(t);
  const id = await running(fixture, 'web');
  await fixture.networks.connect(id, { network: 'net2', settings: { ...noSettings, Aliases: ['db'] } });
  await fixture.networks.disconnect(id, 'net1');
  const service = await fixture.restart();
  const { networks } = await service.inspect(id);
  assert.deepEqual(Object.keys(networks), ['net2']);
  assert.deepEqual([networks.net2?.networkId, networks.net2?.settings.Aliases], [fixture.networks.inspect('net2').id, ['db']]);
  assert.equal(hostsOf(fixture, id).match(/172\.17/g)?.length, 1);
  assert.equal(fixture.runtime.process(id).kept.descriptors.length, 2);
  assert.deepEqual(Object.keys((await (await fixture.restart()).inspect(id)).networks), ['net2']);
});

test('connectNetwork: a running container at once, with its hosts file and what is kept; once only', async (t) => {
  const fixture = await serviceFixture(t);
  const id = await running(fixture, 'web');
  await fixture.service.connectNetwork('web', 'net2', noSettings);
  assert.equal(hostsOf(fixture, id).match(/172\.17/g)?.length, 2);
  assert.equal(fixture.runtime.process(id).kept.descriptors.length, 2);
  await assert.rejects(fixture.service.connectNetwork('web', 'net2', noSettings), {
    code: 'forbidden',
    message: 'endpoint with name web already exists in network net2',
  });
  await fixture.service.disconnectNetwork('web', 'net1', { force: false });
  assert.deepEqual(Object.keys((await fixture.service.inspect(id)).networks), ['net2']);
  await assert.rejects(fixture.service.disconnectNetwork('web', 'net1', { force: false }), {
    code: 'forbidden',
    message: `container ${id} is not connected to network net1`,
  });
  await fixture.service.disconnectNetwork('nobody', 'net1', { force: true });
});

test('connectNetwork: a container that does not run keeps it for its start', async (t) => {
  const fixture = await serviceFixture(t);
  const id = await fixture.create({}, onNet1, 'web');
  await fixture.service.disconnectNetwork(id, 'net1', { force: false });
  await fixture.service.connectNetwork(id, 'net1', { ...noSettings, Aliases: ['db'] });
  assert.deepEqual(fixture.networks.calls.slice(1), []);
  assert.deepEqual((await fixture.service.inspect(id)).networks.net1?.settings.Aliases, ['db']);
  assert.deepEqual(fixture.networks.usersOf(fixture.networks.inspect('net1').id, 'net1'), [id]);
  await fixture.service.start(id);
  assert.deepEqual(fixture.networks.sandbox(id as ContainerId)?.endpoints.net1?.settings.Aliases, ['db']);
});

test('connectNetwork: where there is no network of its own it is refused with Docker’s texts', async (t) => {
  const fixture = await serviceFixture(t);
  await running(fixture, 'host-mode', { NetworkMode: 'host' });
  const none = await running(fixture, 'none-mode', { NetworkMode: 'none' });
  await running(fixture, 'shared', { NetworkMode: `container:${none}` });
  await running(fixture, 'web');
  const connect = (name: string, network = 'net1') => fixture.service.connectNetwork(name, network, noSettings);
  await assert.rejects(connect('host-mode'), /sharing network namespace/);
  await assert.rejects(connect('shared'), /sharing network namespace/);
  await assert.rejects(connect('none-mode'), /private \(none\) mode/);
  await assert.rejects(connect('web', 'host'), /connected to host network/);
  await assert.rejects(connect('web', 'none'), /private \(none\) mode/);
  await assert.rejects(fixture.service.disconnectNetwork('host-mode', 'host', { force: false }), /disconnected from host network/);
});

test('changePorts: of a running container, and of its next start', async (t) => {
  const fixture = await serviceFixture(t);
  const id = await running(fixture, 'web');
  const change = { add: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] }, remove: {} };
  await fixture.service.changePorts(id, change);
  const view = await fixture.service.inspect(id);
  assert.deepEqual(view.ports, { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] });
  assert.deepEqual(view.hostConfig.PortBindings, change.add);
  const listed = (filters: Record<string, string[]>) => fixture.service.list({ all: false, limit: null, size: false, filters });
  assert.equal((await listed({ publish: ['8080'] })).length, 1);
  assert.equal((await listed({ publish: ['80'] })).length, 0);
  assert.equal((await listed({ network: ['net1'] })).length, 1);
  assert.equal((await listed({ network: [fixture.networks.inspect('net1').id.slice(0, 8)] })).length, 1);
  fixture.runtime.process(id).exit(0);
  await ended(fixture, id);
  await assert.rejects(fixture.service.changePorts(id, change), /is not running/);
});

test('links: lines and variables while the other runs, followed when its address changes', async (t) => {
  const fixture = await serviceFixture(t);
  const bridge = { NetworkMode: 'default' };
  const db = await running(fixture, 'db', bridge);
  const web = await running(fixture, 'web', { ...bridge, Links: ['db:data'] });
  const before = hostsOf(fixture, web);
  assert.match(before, new RegExp(`^172\\.17\\.0\\.\\d+\tdata ${db.slice(0, 12)} db$`, 'm'));
  assert.ok(fixture.runtime.process(web).request.spec.process.env.includes('DATA_NAME=/web/data'));
  assert.deepEqual((await fixture.service.inspect(web)).hostConfig.Links, ['/db:/web/data']);
  await fixture.service.restart(db, { signal: null, timeoutSeconds: 0 });
  assert.notEqual(hostsOf(fixture, web), before);
  await fixture.service.stop(db, { signal: null, timeoutSeconds: 0 });
  await assert.rejects(fixture.service.restart(web, { signal: null, timeoutSeconds: 0 }), {
    message: 'Cannot link to a non running container: /db AS /web/data',
  });
});

test('container:X: joins its namespace and shares its files', async (t) => {
  const fixture = await serviceFixture(t);
  const web = await running(fixture, 'web');
  const side = await running(fixture, 'side', { NetworkMode: 'container:web' });
  const { spec } = fixture.runtime.process(side).request;
  assert.equal(spec.linux.namespaces.find(({ type }) => type === 'network')?.path, `/proc/${fixture.runtime.process(web).pid}/ns/net`);
  assert.equal(
    spec.mounts.find(({ destination }) => destination === '/etc/hosts')?.source,
    join(fixture.directory, 'containers', web, 'hosts'),
  );
  assert.deepEqual((await fixture.service.inspect(side)).networks, {});
});
