import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isAllowed, literalAddress, networkContains, parseNetwork, reachOf } from './address-rule.ts';

test('SEC-28 reachOf: what leads inwards is known in every spelling', () => {
  const expected: Readonly<Record<string, readonly string[]>> = {
    never: [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      'fe80::1',
      'fe80::1%eth0',
      'fd00:ec2::254',
      '64:ff9b::a9fe:a9fe',
      '2002:a9fe:a9fe::1',
      '224.0.0.1',
      '255.255.255.255',
    ],
    loopback: ['127.0.0.1', '127.9.9.9', '0.0.0.0', '::1', '::', '::ffff:127.0.0.1', '::ffff:7f00:1', '64:ff9b::7f00:1'],
    private: [
      '10.0.0.1',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '100.64.0.1',
      'fc00::1',
      'fdff::1',
      '::ffff:10.0.0.1',
      '2002:0a00:0001::1',
    ],
    public: ['8.8.8.8', '172.32.0.1', '172.15.0.1', '11.0.0.1', '2606:4700::1111', '::ffff:8.8.8.8'],
  };
  for (const [reach, addresses] of Object.entries(expected))
    for (const address of addresses) assert.equal(reachOf(address), reach, address);
});

test('SEC-28 isAllowed: nobody is sent further in than the server that sends', () => {
  const allowed = (rule: Parameters<typeof isAllowed>[0]) =>
    ['8.8.8.8', '10.0.0.1', '127.0.0.1', '169.254.169.254'].map((ip) => isAllowed(rule, ip));
  assert.deepEqual(allowed('any'), [true, true, true, true]);
  assert.deepEqual(allowed('loopback'), [true, true, true, false]);
  assert.deepEqual(allowed('private'), [true, true, false, false]);
  assert.deepEqual(allowed('public'), [true, false, false, false]);
});

test('networkContains: agrees with arithmetic', () => {
  const v4 = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.');
  fc.assert(
    fc.property(fc.nat(2 ** 32 - 1), fc.nat(2 ** 32 - 1), fc.nat(32), (network, address, bits) => {
      const same = bits === 0 || network >>> (32 - bits) === address >>> (32 - bits);
      assert.equal(networkContains([v4(network), bits], v4(address)), same);
    }),
  );
});

test('parseNetwork, literalAddress: text that is none is null', () => {
  assert.deepEqual(parseNetwork('10.0.0.0/8'), ['10.0.0.0', 8]);
  for (const text of ['10.0.0.0', '10.0.0.0/33', 'a/8', '10.0.0.0/', '10.0.0.0/8/8', 'fd00::/129'])
    assert.equal(parseNetwork(text), null, text);
  assert.equal(literalAddress('[::1]'), '::1');
  assert.equal(literalAddress('example.com'), null);
});
