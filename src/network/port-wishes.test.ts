import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exposedKeys, parseContainerPorts, wishedPorts } from './port-wishes.ts';

const bindings = (value: Parameters<typeof wishedPorts>[0]['bindings'], exposed: readonly string[] = [], publishAll = false) =>
  wishedPorts({ exposed, bindings: value, publishAll }).map(
    ({ port, protocol, hostIp, hostPorts }) => `${hostIp}|${hostPorts.join('-')}|${port}/${protocol}`,
  );
const to = (HostPort: string, HostIp = '') => ({ HostIp, HostPort });

describe('wishedPorts', () => {
  it('reads every spelling', () => {
    assert.deepEqual(bindings({ '80': [to('8080')] }), ['|8080-8080|80/tcp']);
    assert.deepEqual(bindings({ '80/UDP': [to('', '127.0.0.1'), to('0', '[::1]')] }), ['127.0.0.1|0-0|80/udp', '::1|0-0|80/udp']);
    assert.deepEqual(bindings({ '9/sctp': [to('9000-9010')] }), ['|9000-9010|9/sctp']);
    assert.deepEqual(bindings({ '80/tcp': [] }), ['|0-0|80/tcp']);
    assert.deepEqual(bindings({ '80/tcp': [to('65535', '0.0.0.0')] }), ['0.0.0.0|65535-65535|80/tcp']);
  });

  it('the same twice is one, but every ephemeral port is its own', () => {
    assert.deepEqual(bindings({ '80/tcp': [to('80'), to('80'), to(''), to('')] }), ['|80-80|80/tcp', '|0-0|80/tcp', '|0-0|80/tcp']);
  });

  it('-P adds what is exposed and not bound', () => {
    assert.deepEqual(bindings({ '80/tcp': [to('80')] }, ['80', '81/udp'], true), ['|80-80|80/tcp', '|0-0|81/udp']);
    assert.deepEqual(bindings({}, ['80']), []);
  });

  it('refuses what is none', () => {
    for (const key of ['', '0/tcp', '65536', '80/icmp', '90-80', 'http', '-1', '80/tcp/udp'])
      assert.throws(() => bindings({ [key]: [] }), /invalid port specification/, key);
    for (const port of ['65536', 'x', '9-8', '0-5', '-1', '1-', '80.5'])
      assert.throws(() => bindings({ '80/tcp': [to(port)] }), /invalid port specification/, port);
    assert.throws(() => bindings({ '80/tcp': [to('80', 'localhost')] }), /invalid IP address: localhost/);
  });
});

it('exposedKeys writes every port once, with its protocol; ranges are taken apart', () => {
  assert.deepEqual(exposedKeys({ exposed: ['80', '80/tcp', '90-92/udp'], bindings: { '53': [] }, publishAll: false }), [
    '80/tcp',
    '90/udp',
    '91/udp',
    '92/udp',
    '53/tcp',
  ]);
  assert.equal(parseContainerPorts('1-65535').length, 65_535);
});
