import assert from 'node:assert/strict';
import test from 'node:test';
import { defaultContainerConfig, defaultHostConfig } from './config-defaults.ts';
import { changedBindings } from './port-bindings.ts';

const at = (HostPort: string, HostIp = '') => ({ HostIp, HostPort });
const config = defaultContainerConfig({ ExposedPorts: { '80/tcp': {}, '81/tcp': {} } });

test('changedBindings: adds to what there is, removes all or one, with and without protocol', () => {
  const before = defaultHostConfig({ PortBindings: { '80/tcp': [at('8080'), at('8081')], '53/udp': [at('53')] } });
  const after = changedBindings(config, before, {
    add: { '80': [at('9000', '127.0.0.1')] },
    remove: { '80/tcp': [at('8081')], '53/udp': [] },
  });
  assert.deepEqual(after.PortBindings, { '80/tcp': [at('8080'), at('9000', '127.0.0.1')] });
});

test('changedBindings: an ephemeral port or one of a range is removed by the port that it became', () => {
  const before = defaultHostConfig({ PortBindings: { '80/tcp': [at(''), at('8000-8010'), at('', '127.0.0.1')] } });
  const without = (gone: { HostIp: string; HostPort: string }) =>
    changedBindings(config, before, { add: {}, remove: { '80/tcp': [gone] } }).PortBindings['80/tcp'];
  assert.deepEqual(without(at('32768', '127.0.0.1')), [at(''), at('8000-8010')]);
  assert.deepEqual(without(at('32768', '0.0.0.0')), [at('8000-8010'), at('', '127.0.0.1')]);
});

test('changedBindings: one of `-P` taken away, the others are named', () => {
  const after = changedBindings(config, defaultHostConfig({ PublishAllPorts: true }), { add: {}, remove: { '80/tcp': [] } });
  assert.deepEqual([after.PublishAllPorts, after.PortBindings], [false, { '81/tcp': [at('')] }]);
});
