import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  contains,
  containsSubnet,
  formatAddress,
  formatSubnet,
  lastOf,
  overlaps,
  parseAddress,
  parseCidr,
  parseSubnet,
  type Subnet,
} from './ip-address.ts';

const subnet = (text: string): Subnet => {
  const parsed = parseSubnet(text);
  assert.ok(parsed, text);
  return parsed;
};
const canonical = (text: string) => {
  const parsed = parseAddress(text);
  return parsed === null ? null : formatAddress(parsed);
};

describe('parseAddress', () => {
  it('reads what is an address and gives its canonical form', () => {
    for (const [text, expected] of [
      ['10.0.0.1', '10.0.0.1'],
      ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
      ['::', '::'],
      ['::1', '::1'],
      ['1::', '1::'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
      ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ] as const)
      assert.equal(canonical(text), expected);
  });

  it('gives null for everything else', () => {
    for (const text of ['', '10.0.0', '10.0.0.256', '010.0.0.1', '10.0.0.1/24', 'fe80::1%eth0', ':::', 'web', ' 10.0.0.1'])
      assert.equal(parseAddress(text), null, text);
  });

  it('reads what formatAddress wrote', () => {
    fc.assert(
      fc.property(fc.constantFrom(4 as const, 6 as const), fc.bigInt(0n, (1n << 128n) - 1n), (family, bits) => {
        const address = { family, value: family === 4 ? bits & 0xffff_ffffn : bits };
        assert.deepEqual(parseAddress(formatAddress(address)), address);
      }),
    );
  });
});

describe('subnets', () => {
  it('parseSubnet refuses host bits, which parseCidr keeps', () => {
    assert.equal(parseSubnet('10.0.0.1/24'), null);
    const cidr = parseCidr('10.0.0.1/24');
    assert.ok(cidr);
    assert.deepEqual([formatAddress(cidr.address), formatSubnet(cidr.subnet)], ['10.0.0.1', '10.0.0.0/24']);
    for (const text of ['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/024', 'fd00::/129', '10.0.0.0/24/1', '10.0.0.0/-1'])
      assert.equal(parseCidr(text), null, text);
  });

  it('compare', () => {
    assert.ok(overlaps(subnet('10.0.0.0/8'), subnet('10.1.0.0/16')));
    assert.ok(!overlaps(subnet('10.0.0.0/24'), subnet('10.0.1.0/24')));
    assert.ok(!overlaps(subnet('0.0.0.0/0'), subnet('::/0')));
    assert.ok(containsSubnet(subnet('10.0.0.0/8'), subnet('10.255.0.0/16')));
    assert.ok(!containsSubnet(subnet('10.1.0.0/16'), subnet('10.0.0.0/8')));
    assert.ok(contains(subnet('fd00::/64'), { family: 6, value: lastOf(subnet('fd00::/64')) }));
  });
});
