import assert from 'node:assert/strict';
import test from 'node:test';
import type { ContainerId } from '../base/brand.ts';
import { defaultContainerConfig, defaultHostConfig } from './config-defaults.ts';
import { isNetwork, noSettings, ownEndpoints, referenceOf, sandboxRequest, storedEndpoints } from './container-networks.ts';
import type { HostFacts } from './host-facts.ts';
import { FakeNetworks } from './testing/fake-networks.ts';

const networks = new FakeNetworks(['net1', 'net2']);
const idOf = (name: string) => networks.inspect(name).id;

function stored(mode: string, asked: Parameters<typeof storedEndpoints>[2] = {}, links: string[] | null = null) {
  return storedEndpoints(defaultContainerConfig(), defaultHostConfig({ NetworkMode: mode, Links: links }), asked, networks);
}

const names = (mode: string, ...asked: string[]) =>
  stored(mode, Object.fromEntries(asked.map((name) => [name, noSettings]))).map(({ network }) => network);

test('storedEndpoints: the network of the mode first, by name, whatever it was asked by', () => {
  assert.deepEqual(names(''), ['bridge']);
  assert.deepEqual(names('default', 'default'), ['bridge']);
  assert.deepEqual(names('host', 'host'), ['host']);
  assert.deepEqual(names('none'), ['none']);
  assert.deepEqual(names('container:x', 'container:x'), []);
  assert.deepEqual(names('net2', 'net1', 'net2'), ['net2', 'net1']);
  assert.deepEqual(names(idOf('net1').slice(0, 12), 'net2'), ['net1', 'net2']);
  assert.deepEqual(names('default', 'net1'), ['net1']);
  assert.deepEqual(storedEndpoints(defaultContainerConfig({ NetworkDisabled: true }), defaultHostConfig(), {}, networks), []);
});

test('storedEndpoints: what cannot be is refused with Docker’s texts', () => {
  assert.throws(() => names('nope'), { code: 'not-found', message: 'network nope not found' });
  assert.throws(() => names('host', 'host', 'net1'), /sharing network namespace with another container or host/);
  assert.throws(() => names('none', 'none', 'net1'), /private \(none\) mode/);
  assert.throws(() => names('net1', 'net1', idOf('net1')), /"net1" is specified multiple times/);
});

test('storedEndpoints: links of a user network go to its endpoint, unless that has some', () => {
  assert.deepEqual(stored('net1', {}, ['db:x'])[0]?.settings.Links, ['db:x']);
  assert.deepEqual(stored('net1', { net1: { ...noSettings, Links: ['a'] } }, ['db:x'])[0]?.settings.Links, ['a']);
  assert.equal(stored('default', {}, ['db:x'])[0]?.settings.Links, null);
});

test('sandboxRequest: endpoints by id once joined, and the daemon’s DNS where the container has none', () => {
  const record = {
    id: 'c'.repeat(64) as ContainerId,
    name: 'web',
    config: defaultContainerConfig({ ExposedPorts: { '80/tcp': {} } }),
    hostConfig: defaultHostConfig({ NetworkMode: 'net1', DnsSearch: ['corp'], PublishAllPorts: true }),
    networks: [
      { network: 'net1', networkId: idOf('net1'), settings: noSettings },
      { network: 'net2', networkId: null, settings: noSettings },
    ],
  };
  const request = sandboxRequest(record, { hostname: 'h' } as HostFacts, { servers: ['9.9.9.9'], search: ['x'], options: [] });
  assert.deepEqual(
    request?.endpoints.map(({ network }) => network),
    [idOf('net1'), 'net2'],
  );
  assert.deepEqual([request?.hostname, request?.dns], ['c'.repeat(12), { servers: ['9.9.9.9'], search: ['corp'], options: [] }]);
  assert.deepEqual(request?.ports, { exposed: ['80/tcp'], bindings: {}, publishAll: true });
  assert.equal(
    sandboxRequest({ ...record, networks: [] }, { hostname: 'h' } as HostFacts, { servers: [], search: [], options: [] })?.endpoints.length,
    1,
  );
  for (const mode of ['host', 'none', 'container:x']) {
    assert.deepEqual(ownEndpoints({ ...record, hostConfig: defaultHostConfig({ NetworkMode: mode }), networks: [] }), []);
  }
});

test('isNetwork, referenceOf: a user network by its id, the predefined ones by name', () => {
  const joined = { network: 'net1', networkId: 'old', settings: noSettings };
  assert.equal(isNetwork(joined, { id: 'new', name: 'net1' }), false);
  assert.equal(isNetwork({ ...joined, networkId: null }, { id: 'new', name: 'net1' }), true);
  assert.equal(isNetwork({ ...joined, network: 'bridge' }, { id: 'new', name: 'bridge' }), true);
  assert.deepEqual([referenceOf(joined), referenceOf({ ...joined, network: 'bridge' })], ['old', 'bridge']);
});
